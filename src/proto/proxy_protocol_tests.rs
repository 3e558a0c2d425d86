use super::super::testing::Random;
use super::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    [SIGNATURE, &[command, family], &(block.len() as u16).to_be_bytes(), block].concat()
}

const BLOCK4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0x16, 0x2e, 1, 0xbb];

fn block6() -> Vec<u8> {
    let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    [&ip("2001:db8::1")[..], &ip("2001:db8::2"), &[0x16, 0x2e, 1, 0xbb]].concat()
}

fn addresses(from: &str, to: &str) -> Option<(Option<SocketAddr>, Option<SocketAddr>)> {
    Some((Some(from.parse().unwrap()), Some(to.parse().unwrap())))
}

/// `None`: malformed.
type Wanted = Option<(Option<SocketAddr>, Option<SocketAddr>)>;

fn rows() -> Vec<(Vec<u8>, Wanted)> {
    let line = |text: &str| text.as_bytes().to_vec();
    let (four, six) =
        (addresses("192.0.2.1:5678", "198.51.100.2:443"), addresses("[2001:db8::1]:5678", "[2001:db8::2]:443"));
    let itself: Wanted = Some((None, None));
    let longest6 =
        "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 65535\r\n";
    let full6 = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
    let unknown = |bytes: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(bytes - 16)).into_bytes();
    let tlv = |block: &[u8], bytes: usize| [block, &vec![4; bytes]].concat();
    vec![
        // Version 1.
        (line("PROXY TCP4 192.0.2.1 198.51.100.2 5678 443\r\n"), four),
        (line("PROXY TCP6 2001:db8::1 2001:DB8::2 5678 443\r\n"), six),
        (line("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), addresses("0.0.0.0:0", "255.255.255.255:65535")),
        (line(longest6), addresses(full6, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535")),
        (line("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6402 5678 443\r\n"), four),
        (
            line("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 5678 443\r\n"),
            addresses("192.0.2.1:5678", "[2001:db8::2]:443"),
        ),
        (line("PROXY UNKNOWN\r\n"), itself),
        (line("PROXY UNKNOWN \r\n"), itself),
        (line("PROXY UNKNOWN 192.0.2.1 whatever \0\u{ff} it is\r\n"), itself),
        (unknown(PROXY_V1_MAX), itself),
        (unknown(PROXY_V1_MAX + 1), None),
        (line("PROXY UNKNOWNX\r\n"), None),
        (line("PROXY \r\n"), None),
        (line("PROXY\r\n"), None),
        (line("PROXY TCP4\r\n"), None),
        (line("PROXY TCP5 192.0.2.1 198.51.100.2 5678 443\r\n"), None),
        (line("PROXY tcp4 192.0.2.1 198.51.100.2 5678 443\r\n"), None),
        (line("proxy TCP4 192.0.2.1 198.51.100.2 5678 443\r\n"), None),
        (line("PROXY UDP4 192.0.2.1 198.51.100.2 5678 443\r\n"), None),
        // Families that do not agree.
        (line("PROXY TCP4 2001:db8::1 2001:db8::2 5678 443\r\n"), None),
        (line("PROXY TCP6 192.0.2.1 198.51.100.2 5678 443\r\n"), None),
        (line("PROXY TCP4 192.0.2.1 2001:db8::2 5678 443\r\n"), None),
        (line("PROXY TCP6 2001:db8::1 198.51.100.2 5678 443\r\n"), None),
        // Addresses.
        (line("PROXY TCP4 192.0.2.256 198.51.100.2 5678 443\r\n"), None),
        (line("PROXY TCP4 192.0.2.01 198.51.100.2 5678 443\r\n"), None),
        (line("PROXY TCP4 192.0.2 198.51.100.2 5678 443\r\n"), None),
        (line("PROXY TCP4 3221225985 198.51.100.2 5678 443\r\n"), None),
        (line("PROXY TCP4 example.org 198.51.100.2 5678 443\r\n"), None),
        (line("PROXY TCP6 2001:db8::1%eth0 2001:db8::2 5678 443\r\n"), None),
        (line("PROXY TCP6 [2001:db8::1] [2001:db8::2] 5678 443\r\n"), None),
        (line("PROXY TCP6 2001::db8::1 2001:db8::2 5678 443\r\n"), None),
        // Ports.
        (line("PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n"), None),
        (line("PROXY TCP4 192.0.2.1 198.51.100.2 05678 443\r\n"), None),
        (line("PROXY TCP4 192.0.2.1 198.51.100.2 00 443\r\n"), None),
        (line("PROXY TCP4 192.0.2.1 198.51.100.2 +5678 443\r\n"), None),
        (line("PROXY TCP4 192.0.2.1 198.51.100.2 -1 443\r\n"), None),
        (line("PROXY TCP4 192.0.2.1 198.51.100.2 5678 0x1bb\r\n"), None),
        (line("PROXY TCP4 192.0.2.1 198.51.100.2 5678\r\n"), None),
        // Blanks and line ends.
        (line("PROXY  TCP4 192.0.2.1 198.51.100.2 5678 443\r\n"), None),
        (line("PROXY TCP4  192.0.2.1 198.51.100.2 5678 443\r\n"), None),
        (line("PROXY\tTCP4 192.0.2.1 198.51.100.2 5678 443\r\n"), None),
        (line("PROXY TCP4 192.0.2.1 198.51.100.2 5678 443 \r\n"), None),
        (line("PROXY TCP4 192.0.2.1 198.51.100.2 5678 443 1\r\n"), None),
        (line(" PROXY TCP4 192.0.2.1 198.51.100.2 5678 443\r\n"), None),
        (line("PROXY TCP4 192.0.2.1 198.51.100.2 5678 443\n"), None),
        (line("PROXY TCP4 192.0.2.1 198.51.100.2 5678 443\r \r\n"), None),
        (line("PROXY TCP4 192.0.2.1\n198.51.100.2 5678 443\r\n"), None),
        (line("PROXY TCP4 192.0.2.1\r\n198.51.100.2 5678 443\r\n"), None),
        (line("PROXY UNKNOWN\n\r\n"), None),
        (line("PROXY TCP4 192.0.2.1 198.51.100.2 5678 44\u{663}\r\n"), None),
        // Other protocols.
        (line("GET / HTTP/1.1\r\n\r\n"), None),
        (line("PROXIES"), None),
        (vec![0x16, 3, 1, 2, 0], None),
        // Version 2.
        (v2(0x21, 0x11, BLOCK4), four),
        (v2(0x21, 0x21, &block6()), six),
        (v2(0x21, 0x11, &tlv(BLOCK4, 100)), four),
        (v2(0x21, 0x21, &tlv(&block6(), 2048 - 36)), six),
        (v2(0x21, 0x21, &tlv(&block6(), 2049 - 36)), None),
        (v2(0x21, 0x11, &tlv(BLOCK4, 65_535 - 12)), None),
        // A mapped address is an IPv4 address.
        (
            v2(0x21, 0x21, &[&[0; 10][..], &[255, 255, 192, 0, 2, 1], &block6()[16..]].concat()),
            addresses("192.0.2.1:5678", "[2001:db8::2]:443"),
        ),
        // The proxy itself, whatever else it says.
        (v2(0x20, 0x00, &[]), itself),
        (v2(0x20, 0x11, BLOCK4), itself),
        (v2(0x20, 0x11, &[]), itself),
        (v2(0x20, 0xff, &[1, 2, 3]), itself),
        (v2(0x20, 0x00, &[0; 2049]), None),
        // What is no TCP address.
        (v2(0x21, 0x00, &[]), itself),
        (v2(0x21, 0x00, BLOCK4), itself),
        (v2(0x21, 0x10, BLOCK4), itself),
        (v2(0x21, 0x01, &[]), itself),
        (v2(0x21, 0x12, BLOCK4), itself),
        (v2(0x21, 0x22, &block6()), itself),
        (v2(0x21, 0x31, &[0; 216]), itself),
        (v2(0x21, 0x32, &[0; 216]), itself),
        // Too short for what it says.
        (v2(0x21, 0x11, &BLOCK4[1..]), None),
        (v2(0x21, 0x11, &[]), None),
        (v2(0x21, 0x12, &BLOCK4[1..]), None),
        (v2(0x21, 0x21, &block6()[1..]), None),
        (v2(0x21, 0x21, BLOCK4), None),
        (v2(0x21, 0x31, &[0; 215]), None),
        // Versions, commands, families and transports that there are not.
        (v2(0x11, 0x11, BLOCK4), None),
        (v2(0x31, 0x11, BLOCK4), None),
        (v2(0x01, 0x11, BLOCK4), None),
        (v2(0x22, 0x11, BLOCK4), None),
        (v2(0x2f, 0x00, &[]), None),
        (v2(0x21, 0x41, BLOCK4), None),
        (v2(0x21, 0x13, BLOCK4), None),
        (v2(0x21, 0x03, &[]), None),
        (v2(0x21, 0xf1, BLOCK4), None),
        ([&SIGNATURE[..11], b"\r", &v2(0x21, 0x11, BLOCK4)[12..]].concat(), None),
    ]
}

#[test]
fn headers_are_read() {
    for (bytes, wanted) in rows() {
        let shown = bytes.escape_ascii().to_string();
        let wanted =
            wanted.ok_or(Malformed).map(|(source, destination)| Some(Header { len: bytes.len(), source, destination }));
        assert_eq!(parse(&bytes), wanted, "{shown}");
        if wanted.is_err() {
            continue;
        }
        // What follows is the client's: it changes nothing.
        for more in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PROXY UNKNOWN\r\n", b"\r\n", b"\n", &[0; 5000]] {
            assert_eq!(parse(&[&bytes[..], more].concat()), wanted, "{shown}");
        }
    }
}

/// An answer does not change with more bytes, and no more are wanted than a header may have.
fn expect_sane(bytes: &[u8], cuts: impl Iterator<Item = usize>) {
    let whole = parse(bytes);
    assert!(whole != Ok(None) || bytes.len() < PROXY_V2_MAX, "{} bytes, and more wanted", bytes.len());
    if let Ok(Some(header)) = whole {
        assert!(header.len <= bytes.len() && header.len <= PROXY_V2_MAX);
        assert_eq!(header.source.is_some(), header.destination.is_some());
        assert_eq!(parse(&bytes[..header.len]), whole, "less than the header was needed");
        assert_eq!(parse(&bytes[..header.len - 1]), Ok(None), "more than the header was believed");
    }
    for cut in cuts {
        let part = parse(&bytes[..cut]);
        assert!(part == Ok(None) || part == whole, "{part:?} after {cut} bytes, then {whole:?}: {bytes:02x?}");
    }
}

#[test]
fn every_cut_is_waited_for() {
    for (bytes, _) in rows() {
        expect_sane(&bytes, 0..bytes.len());
    }
    let only_digits = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
    assert_eq!(parse(&only_digits[..PROXY_V1_MAX - 1]), Ok(None));
    assert_eq!(parse(&only_digits[..PROXY_V1_MAX]), Err(Malformed));
}

#[test]
fn no_change_upsets_the_parser() {
    let mut random = Random(7);
    let rows = rows();
    for (bytes, _) in &rows {
        for at in 0..bytes.len().min(300) {
            for change in [|_| 0, |_| 0xff, |_| b'\r', |_| b'\n', |_| b' ', |byte| byte ^ 1, |byte: u8| byte ^ 0x10] {
                let mut bytes = bytes.clone();
                bytes[at] = change(bytes[at]);
                let cut = random.below(bytes.len());
                expect_sane(&bytes, [at, cut].into_iter());
            }
        }
    }
    for _ in 0..20_000 {
        let mut bytes = rows[random.below(rows.len())].0.clone();
        for _ in 0..1 + random.below(3) {
            let at = random.below(bytes.len());
            match random.below(3) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, random.pick(b" \r\n0.:x\xff")),
                _ => bytes[at] = random.next() as u8,
            }
            bytes.resize(bytes.len().max(1), 0);
        }
        let cuts = [random.below(bytes.len()), random.below(bytes.len())];
        expect_sane(&bytes, cuts.into_iter());
    }
}

fn written(version: Version, from: Option<&str>, to: Option<&str>) -> Vec<u8> {
    let mut out = [0xee; WRITTEN_MAX];
    let address = |text: Option<&str>| text.map(|text| text.parse().unwrap());
    let len = write(version, address(from), address(to), &mut out);
    assert!(out[len..].iter().all(|&byte| byte == 0xee), "more was written than said");
    out[..len].to_vec()
}

type Ends = [Option<&'static str>; 2];

#[test]
fn headers_are_written() {
    let (four, six) = (["192.0.2.1:5678", "198.51.100.2:443"], ["[2001:db8::1]:5678", "[2001:db8::2]:443"]);
    let mapped = ["[::ffff:192.0.2.1]:5678", "[::ffff:198.51.100.2]:443"];
    let of = |ip: &str| ip.parse::<Ipv6Addr>().unwrap().octets();
    let mixed = |from: &str, to: &str| v2(0x21, 0x21, &[&of(from)[..], &of(to), &block6()[32..]].concat());
    let line4 = "PROXY TCP4 192.0.2.1 198.51.100.2 5678 443\r\n";
    let unknown = "PROXY UNKNOWN\r\n";
    let local = v2(0x20, 0, &[]);
    let rows: Vec<(Ends, &str, Vec<u8>)> = vec![
        (four.map(Some), line4, v2(0x21, 0x11, BLOCK4)),
        (six.map(Some), "PROXY TCP6 2001:db8::1 2001:db8::2 5678 443\r\n", v2(0x21, 0x21, &block6())),
        (mapped.map(Some), line4, v2(0x21, 0x11, BLOCK4)),
        ([Some(mapped[0]), Some(four[1])], line4, v2(0x21, 0x11, BLOCK4)),
        ([Some(four[0]), Some(six[1])], unknown, mixed("::ffff:192.0.2.1", "2001:db8::2")),
        ([Some(six[0]), Some(mapped[1])], unknown, mixed("2001:db8::1", "::ffff:198.51.100.2")),
        // A scope means nothing elsewhere.
        (
            [Some("[2001:db8::1%7]:5678"), Some(six[1])],
            "PROXY TCP6 2001:db8::1 2001:db8::2 5678 443\r\n",
            v2(0x21, 0x21, &block6()),
        ),
        ([None, Some(four[1])], unknown, local.clone()),
        ([Some(four[0]), None], unknown, local.clone()),
        ([None, None], unknown, local),
    ];
    for ([from, to], line, binary) in rows {
        assert_eq!(String::from_utf8(written(Version::V1, from, to)).unwrap(), line, "{from:?} {to:?}");
        assert_eq!(written(Version::V2, from, to), binary, "{from:?} {to:?}");
    }
}

#[test]
fn what_is_written_is_read() {
    let ends = ["192.0.2.1:1", "255.255.255.255:65535", "[::]:0", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"];
    for (from, to) in ends.iter().flat_map(|from| ends.iter().map(move |to| (*from, *to))) {
        for version in [Version::V1, Version::V2] {
            let bytes = written(version, Some(from), Some(to));
            let header = parse(&bytes).unwrap().unwrap();
            assert_eq!(header.len, bytes.len());
            let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
            let told = from.is_ipv4() == to.is_ipv4() || version == Version::V2;
            assert_eq!((header.source, header.destination), if told { (Some(from), Some(to)) } else { (None, None) });
        }
    }
}

#[test]
fn too_little_room_gets_nothing() {
    let (from, to) = ("192.0.2.1:5678".parse().ok(), "198.51.100.2:443".parse().ok());
    for (version, len) in [(Version::V1, 44), (Version::V2, 28)] {
        let mut out = [0; WRITTEN_MAX];
        assert_eq!(write(version, from, to, &mut out[..len]), len);
        assert_eq!(write(version, from, to, &mut out[..len - 1]), 0);
        assert_eq!(write(version, from, to, &mut []), 0);
    }
}
