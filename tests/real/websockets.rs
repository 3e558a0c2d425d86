//! A WebSocket echo of the `websockets` package through ringgate, with no word about it in the configuration.

use super::succeed;
use super::support::{Place, Setup, tools};
use std::process::{Command, Stdio};

const SERVER: &str = r#"
import asyncio, sys
from websockets.asyncio.server import serve


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def main():
    async with serve(echo, "127.0.0.1", 0, max_size=None, ping_interval=1, ping_timeout=20) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

asyncio.run(main())
"#;

const CLIENT: &str = r#"
import asyncio, os, sys, time
from websockets.asyncio.client import connect

url, seconds = sys.argv[1], float(sys.argv[2])
until = time.monotonic() + seconds


async def talk(number):
    count = 0
    compression = "deflate" if number % 2 else None
    async with connect(url, max_size=None, compression=compression, ping_interval=1, ping_timeout=20, proxy=None) as connection:
        while time.monotonic() < until:
            text = f"message {count} of {number} \u2713"
            binary = os.urandom(count * 37 % 70_000)
            large = os.urandom(1 << 20) if count % 50 == 0 else b"not so large"
            await connection.send(text)
            await connection.send(binary)
            await connection.send(large)
            pong = await connection.ping()
            assert await connection.recv() == text
            assert await connection.recv() == binary
            assert await connection.recv() == large
            await asyncio.wait_for(pong, 20)
            # In fragments, and many small ones on the way at once.
            await connection.send(["a", "b", "c"])
            assert await connection.recv() == "abc"
            for i in range(20):
                await connection.send(str(i))
            assert [await connection.recv() for _ in range(20)] == [str(i) for i in range(20)]
            # One of them is idle for a while now and then.
            await asyncio.sleep(1.5 if number == 0 else 0.02)
            count += 1
    assert connection.close_code == 1000, connection.close_code
    return count


async def main():
    counts = await asyncio.gather(*(talk(number) for number in range(4)))
    print("rounds", *counts)

asyncio.run(main())
"#;

#[test]
fn websockets_echo_for_a_while() {
    const TEST: &str = "websockets_echo_for_a_while";
    let Some(python) = tools::python(TEST, &["websockets.asyncio.server"]) else { return };
    let mut server = Command::new(&python);
    server.args(["-c", SERVER]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = tools::Daemon(server.spawn().expect("python runs"));
    let mut line = String::new();
    let out = server.0.stdout.take().expect("a pipe");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("the server says its port");
    let backend = Place::parse(&format!("127.0.0.1:{}", line.trim().trim_start_matches("port ")));
    let ringgate = Setup::proxy(&[&backend]).start();
    let before = ringgate.status();
    let seconds = if std::env::var("RINGGATE_LONG").as_deref() == Ok("1") { 120 } else { 10 };
    let url = format!("ws://{}/", ringgate.place());
    let printed = succeed(&python, &["-c", CLIENT, &url, &seconds.to_string()], seconds + 60).text();
    let rounds: Vec<u64> = printed.trim().split(' ').skip(1).filter_map(|count| count.parse().ok()).collect();
    assert_eq!(rounds.len(), 4, "{printed}");
    assert!(rounds[0] >= 2 && rounds[1..].iter().all(|&count| count >= 5), "{printed}");
    drop(server);
    ringgate.expect_clean(&before);
    let status = ringgate.status();
    assert_eq!(status.total("panics"), 0, "{}", ringgate.log());
    assert_eq!(status.0["totals"]["errors"].to_string(), "{}", "{}", ringgate.log());
}
