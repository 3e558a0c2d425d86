//! What one exchange costs in `proto`: heads understood and written anew, chunked bodies decoded.
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ringgate::proto::body::Decoder;
use ringgate::proto::framing::Framing;
use ringgate::proto::request::{self, FieldSlots, RequestFacts};
use ringgate::proto::response;
use ringgate::proto::rewrite::{self, Forwarding};
use ringgate::proto::writer::Writer;
use std::hint::black_box;
use std::time::Duration;

/// What wrk sends.
const SMALL: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

/// Six fields: a client library asking an API.
const TYPICAL: &[u8] = b"GET /api/v1/articles/42?fields=title,body HTTP/1.1\r\n\
    Host: www.example.org\r\n\
    User-Agent: python-requests/2.32.3\r\n\
    Accept: application/json\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Connection: keep-alive\r\n\
    Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n\r\n";

/// Sixteen fields: a browser fetching an image.
const BROWSER: &[u8] = b"GET /static/images/2024/06/header-large.webp?v=3 HTTP/1.1\r\n\
    Host: www.example.org\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"126\", \"Not/A)Brand\";v=\"8\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n\
    Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: no-cors\r\n\
    Sec-Fetch-Dest: image\r\n\
    Referer: https://www.example.org/articles/42\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=1\r\n\r\n";

/// What nginx answers.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: nginx/1.22.1\r\n\
    Date: Thu, 20 Jun 2024 10:00:00 GMT\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 128\r\n\
    Connection: keep-alive\r\n\
    ETag: \"66740000-80\"\r\n\r\n";

/// A request's head read, understood and written for the backend; what the session does for each.
fn carry_request(head: &[u8], out: &mut [u8]) -> (RequestFacts, usize) {
    let mut slots = FieldSlots::new();
    let parsed = request::parse(head, &mut slots).expect("well formed").expect("whole");
    let (facts, route) = parsed.inspect().expect("well formed");
    let forwarding = Forwarding {
        peer_ip: "203.0.113.7",
        client_ip: "203.0.113.7",
        scheme: "http",
        trusted: false,
        fallback_host: "backend",
        set: None,
        method: None,
        target: None,
    };
    let mut writer = Writer::new(out);
    rewrite::write_request(&mut writer, &parsed, &facts, &route, &forwarding);
    (facts, writer.finish().expect("fits"))
}

fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("request");
    let mut out = vec![0; 18 * 1024];
    for (name, head) in [("small", SMALL), ("typical", TYPICAL), ("browser", BROWSER)] {
        group.bench_function(format!("{name}/parse"), |b| {
            b.iter(|| {
                let mut slots = FieldSlots::new();
                black_box(request::parse(black_box(head), &mut slots).expect("well formed").expect("whole").len)
            })
        });
        group.bench_function(format!("{name}/inspect"), |b| {
            let mut slots = FieldSlots::new();
            let parsed = request::parse(head, &mut slots).expect("well formed").expect("whole");
            b.iter(|| black_box(black_box(&parsed).inspect().expect("well formed")))
        });
        group.bench_function(format!("{name}/whole"), |b| {
            b.iter(|| black_box(carry_request(black_box(head), &mut out)))
        });
    }
    group.finish();
}

fn responses(c: &mut Criterion) {
    let mut out = vec![0; 18 * 1024];
    let (asked, _) = carry_request(TYPICAL, &mut out);
    c.bench_function("response/whole", |b| {
        b.iter(|| {
            let mut slots = FieldSlots::new();
            let parsed = response::parse(black_box(RESPONSE), &mut slots).expect("well formed").expect("whole");
            let facts = parsed.inspect(&asked).expect("well formed");
            let mut writer = Writer::new(&mut out);
            rewrite::write_response(
                &mut writer,
                &parsed,
                &facts,
                &asked,
                facts.framing_to_client(&asked),
                false,
                rewrite::Added::default(),
            );
            black_box(writer.finish())
        })
    });
}

/// Chunked bodies of about 64 KiB, decoded from one buffer as from the network.
fn chunked(c: &mut Criterion) {
    let mut group = c.benchmark_group("chunked");
    for size in [16, 1024, 16 * 1024] {
        let mut body: Vec<u8> = Vec::new();
        for _ in 0..(64 * 1024 / size) {
            body.extend(format!("{size:x}\r\n").bytes());
            body.resize(body.len() + size, b'x');
            body.extend(b"\r\n");
        }
        body.extend(b"0\r\n\r\n");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("chunks of {size}"), |b| {
            b.iter_batched_ref(
                || body.clone(), // decoding happens in place
                |body| black_box(Decoder::new(Framing::Chunked).decode(body).expect("well formed").data),
                BatchSize::SmallInput,
            )
        });
    }
    group.finish();
}

fn configured() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2))
}

criterion_group! { name = proto; config = configured(); targets = requests, responses, chunked }
criterion_main!(proto);
