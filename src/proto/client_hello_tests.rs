use super::super::testing::Random;
use super::*;
use crate::limits::CLIENT_HELLO_WIRE_MAX;

/// `openssl s_client -servername www.example.org -alpn h2,http/1.1`, OpenSSL 3.0.
const OPENSSL: &str = "\
    160301014e0100014a0303fbf2f08ff272660a1d99f78bf82e08f45cdd41e2e550b6907446dc423332040f20da7187dc1e28cffb645f12\
    75966bff0119d332aeec59782f5efdfaffed077110003e130213031301c02cc030009fcca9cca8ccaac02bc02f009ec024c028006bc023\
    c0270067c00ac0140039c009c0130033009d009c003d003c0035002f00ff010000c300000014001200000f7777772e6578616d706c652e\
    6f7267000b000403000102000a00160014001d0017001e0019001801000101010201030104002300000010000e000c0268320868747470\
    2f312e310016000000170000000d002a0028040305030603080708080809080a080b080408050806040105010601030303010302040205\
    020602002b0009080304030303020301002d00020101003300260024001d0020d99f5d16fbcda9b824bdc0fb615de5b0964f1393518a3e\
    463654bac7eb479003\
    ";

/// `openssl s_client -tls1_2 -servername tls12.example.org`.
const OPENSSL_TLS12: &str = "\
    16030100d1010000cd030323be3b638d1ea53bc605d70f657149db0e7402c3b37cf6b655ba930bedfb46b9000038c02cc030009fcca9cc\
    a8ccaac02bc02f009ec024c028006bc023c0270067c00ac0140039c009c0130033009d009c003d003c0035002f00ff0100006c00000016\
    0014000011746c7331322e6578616d706c652e6f7267000b000403000102000a000c000a001d0017001e00190018002300000016000000\
    170000000d002a0028040305030603080708080809080a080b080408050806040105010601030303010302040205020602\
    ";

/// `openssl s_client -noservername`.
const OPENSSL_NO_NAME: &str = "\
    1603010124010001200303f1eecca464c3832d58200f588c857ade42f87d0755667f0c45b37b658dea6dbf2024fff030ccd6728702fac2\
    1ac92f80d2551ac11956af9a5e8a1cdbcc1755bad9003e130213031301c02cc030009fcca9cca8ccaac02bc02f009ec024c028006bc023\
    c0270067c00ac0140039c009c0130033009d009c003d003c0035002f00ff01000099000b000403000102000a00160014001d0017001e00\
    19001801000101010201030104002300000016000000170000000d002a0028040305030603080708080809080a080b0804080508060401\
    05010601030303010302040205020602002b0009080304030303020301002d00020101003300260024001d002097043b88cd456cd9b38a\
    bc09faacb93d61298929d97eff6cb7255e9ae0272d49\
    ";

/// curl 7.88.
const CURL: &str = "\
    1603010200010001fc03039c7c9e4bd073d0d235eb9338216fee998f6bfda9fc918165c6bdf901e949ef03200eaded57d954bcf843fc15\
    3e8e1f53d16d395f6d107758dfb985134cd0c18e26003e130213031301c02cc030009fcca9cca8ccaac02bc02f009ec024c028006bc023\
    c0270067c00ac0140039c009c0130033009d009c003d003c0035002f00ff010001750000001500130000106375726c2e6578616d706c65\
    2e6f7267000b000403000102000a00160014001d0017001e00190018010001010102010301040010000e000c02683208687474702f312e\
    31001600000017000000310000000d002a0028040305030603080708080809080a080b0804080508060401050106010303030103020402\
    05020602002b0009080304030303020301002d00020101003300260024001d00201ffc1aadebc37faa6216ea42722072b2de34e34cb13b\
    4ff5372cadbf38f2836a001500ad0000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000\
    ";

/// Python's ssl module without ALPN.
const PYTHON: &str = "\
    1603010200010001fc0303fa077a0c2c5e90d0c73fac857cf4a290040a6a011515a3a0232e4e2c0b6b9358202aaab81027a5177e070e9a\
    9afcf59c10030949c9214c12b711c09035ffdcb0b10024130213031301c02cc030c02bc02fcca9cca8c024c028c023c027009f009e006b\
    006700ff0100018f000000170015000012707974686f6e2e6578616d706c652e6f7267000b000403000102000a00160014001d0017001e\
    0019001801000101010201030104002300000016000000170000000d002a0028040305030603080708080809080a080b08040805080604\
    0105010601030303010302040205020602002b00050403040303002d00020101003300260024001d00200a81d8484fe3560e0236866f7f\
    9d91cb6e92ca645a37c324b940cc9208539d19001500db0000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000\
    ";

/// A headless Chromium.
const CHROMIUM: &str = "\
    160301077f0100077b0303e3c1ce34c2bf1854e72243d42cd415ef452a92c45713d084be0a706963ef4cb520afd5f4ff2b2f645987b7e2\
    78bb3dea96ee095f9835e1ca94568c22bcab84603200206a6a130113021303c02bc02fc02cc030cca9cca8c013c014009c009d002f0035\
    010007120a0a0000001b000302000200170000003304ef04ed4a4a00010011ec04c0d4b89ed1334d3f72cc4b73395a5c4e968c90521848\
    ffe120b20000d391a6b7a842aac651e8b8641242c669c40699b8361d8bac738439f35094102853a7682291ec9c0111ba8e6427fcfc6c5c\
    9c6c8fb8b0d79c804c22403255c994f2b81ce93ab8332444c29fa5436461866f89785efcb0042314aad1c7ccce154f4a871a80fa9cc9c5\
    bb90888049904a0351c80bf5cd514101c06504c4f486c2396ae8e65b5ec065ed034606623e9eecbccfcacaf941723725614dd55875b62d\
    9c12649874185fcc7cfe11bf6c152588597a427a657f6c68e1dc4893808eadd7481ab56099f17ac6e896c0f11f41039c3f28b01aa20aec\
    8938a2554e9275c64f645ef5e5af5b9c20ff192f52b0ad37b89f63304038bb3a3d18684b197cf0639bb7d7452d2b8b69a51baf63603264\
    2511ba3265c401f5861f147650b9d380e8d228b247524d238208dccd3e349376d2ca8120abf9fac104c56d100230be3c3a0af2a7758217\
    131c583bdc9a1b34c901e1b1663c34c4abb00eac4b6c507b9de800889500418546a17b6883893068a7c8cea4b351633b9b30a15402aa46\
    ca51334c8eadcb4defb58dd4bc0786615277998f2ca55a07651f5e5b0a7ad93295684e3d3cb92c839ba09124f9a57c240b65afcca92735\
    95a58bc1b1b9b0b94649852757308431a8672d8be3b0d8a65489ea1dc7c275831982c369a992037348b61fb7b4257af91fc3fb0b658302\
    28fb1249d9a69a966f595c0d711344c9343deb87889108aa0c583a9fbb97eceb316cd7cf9af5257962ad1f59516fe219bef8288d419f00\
    a7a20ac310a8b025077a8e51891373eca82c21c610435dd6a03a0a9640565861b993a4bd0a16937a1191a854bd887d1a4074c35b3f00e6\
    14f0728ffff296be12cf55f271b621157955c75969715c8ac3fd922fd5e748ba4810be58ba5146a543382333e62759a3356c358a9f8623\
    5f9236732196a0fb8e464386337b9dd3c3b5f806191612ac21d59ff4410d04c450a8d49f32e13139642df242386916cdbd16a3736412da\
    88ce84d38bdc24c47c83a918620f2af00cd0e36a2bd5b796452012e9484cc300fd63655347380529cc27273d3c37921e0b1634b1afaeaa\
    88d29a68b808a291301bd01a1eafe81247f1c2c89431448b8ae2851e021bc099bc74221ccd6405a520821f04712649499f8a089d35937f\
    6c16a4c7c208684465ee4abea064664e50468bf9bda4859d8a0cbb733648091296e1119ad8b665c38087fcc2775da944cd7104375b3907\
    011ec3d97d1815a2522314c7d6978d3a88daf10d0c5106dc1032223688e2b76c46936dcc5168c15a601015988ca6cea07a7012052446e5\
    15a53270dac71746e6c22e189bc2421a6d1a23f35a82fcf235366493038595efe5c6906542536227b24ac050618272f93f0d7c746eb411\
    477871c9590bff214a2fdc461dfb039a341034122b36941bd04a2504e1a00bc18ed7a24feb1a2757b1a5ec48377a0132c110236412266d\
    f18266f69297a4b7f3530880ac0ea9d799e669660ee71397320e9daa3a82d8024a5737aa0615996c4917b6108fd95f5b92596e35ac4547\
    ae7512cc0cbbca82e27a65138c7205aa28d3c9992a0e566130ecea036510441575b41ad2163d3308b0506e96522c270ee103da0f8cac3b\
    1aabed1e876b1365fe461d521cfaed78160e32ef0ee66a112b6dbb41ade856c3d6c3d50040e93e7b001d0020b05ddb4005bd18cb7c7bac\
    30fc5c1295d953d8a31b302a7ae694f4f2af8e2d04000a000c000a4a4a11ec001d00170018000b00020100ff0100010000000015001300\
    001073686f702e6578616d706c652e6f7267ca3400ba00b80582df1302010582df1302060582df13020d0582df13020e0582df13020f05\
    82df1302120582df1302130582df13021408839a648c9b2d010708839a648c9b2d010808839a648c9b2d010908839a648c9b2d010a0883\
    9a648c9b2d010b08839a648c9b2d010c08839a648c9b2d010d08839a648c9b2d011208839a648c9b2d011304d679090104d679090404d6\
    79090504d679090604d679090704d679090804d679090a04d679090b04d679090c04d679090d04d679090f002b0007060a0a0304030300\
    2d0002010100120000000d001a00183a3a0904090509060403080404010503080505010806060144cd000500030268320010000e000c02\
    683208687474702f312e3100230000000500050100000000fe0d00ba00000100015800205e67afc39cc4e69bbcc2e1713b20befa37ae8c\
    6a0ebc206102e434a85ac06d7200909555183b7d05f83a363b730e9cd9b3a0c3da43834afbcb323a8d3ad238f4118325b1443b60de2e9b\
    fc9692bebfbeed7887ef1290106be73e2380c16e63d54cbf79664dfd2b70192b42f9c42dbfea13583b1a7e345d5a786e7a8b3561791b5a\
    d9aa2b2ed67897940d3d1a063b0635aa892003684245349e6aa316a0ef75d203d16dbc5265eaf71ad9367c42409de057c8aaaa000100\
    ";

const REAL: [(&str, Option<&str>, &[&str], u16); 6] = [
    (OPENSSL, Some("www.example.org"), &["h2", "http/1.1"], 0x0304),
    (OPENSSL_TLS12, Some("tls12.example.org"), &[], 0x0303),
    (OPENSSL_NO_NAME, None, &[], 0x0304),
    (CURL, Some("curl.example.org"), &["h2", "http/1.1"], 0x0304),
    (PYTHON, Some("python.example.org"), &[], 0x0304),
    (CHROMIUM, Some("shop.example.org"), &["h2", "http/1.1"], 0x0304),
];

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |c: &u8| char::from(*c).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
}

fn real() -> impl Iterator<Item = (Vec<u8>, ClientHello)> {
    REAL.into_iter().map(|(hex, name, alpn, version)| {
        let alpn = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        (bytes(hex), ClientHello { server_name: name.map(str::to_owned), alpn, version })
    })
}

fn record(fragment: &[u8]) -> Vec<u8> {
    [&[HANDSHAKE, 3, 1], &(fragment.len() as u16).to_be_bytes()[..], fragment].concat()
}

/// The handshake bytes in records of these sizes, in turn.
fn records(handshake: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut wire, mut rest) = (Vec::new(), handshake);
    for size in sizes.iter().cycle() {
        let (fragment, after) = rest.split_at(rest.len().min(*size));
        wire.extend_from_slice(&record(fragment));
        rest = after;
        if rest.is_empty() {
            return wire;
        }
    }
    unreachable!("sizes are never empty")
}

fn short(content: &[u8]) -> Vec<u8> {
    [&[content.len() as u8], content].concat()
}

fn long(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes(), content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &long(content)].concat()
}

fn named(name: &[u8]) -> Vec<u8> {
    extension(SERVER_NAME, &long(&[&[0], &long(name)[..]].concat()))
}

/// A handshake message of type ClientHello.
fn message(body: &[u8]) -> Vec<u8> {
    [&[CLIENT_HELLO], &(body.len() as u32).to_be_bytes()[1..], body].concat()
}

/// What stands before the extensions.
fn beginning() -> Vec<u8> {
    [&[3, 3][..], &[7; 32], &short(&[9; 32]), &long(&[0x13, 1, 0x13, 2]), &short(&[0])].concat()
}

fn with(extensions: &[u8]) -> Result<Option<ClientHello>, NotTls> {
    parse(&record(&message(&[&beginning()[..], &long(extensions)].concat())))
}

#[test]
fn real_hellos_are_read_and_wanted_whole() {
    for (wire, wanted) in real() {
        for cut in 0..wire.len() {
            assert_eq!(parse(&wire[..cut]), Ok(None), "{cut} bytes of {wanted:?}");
        }
        assert_eq!(parse(&wire), Ok(Some(wanted.clone())));
        // What follows is not looked at, whatever it is.
        for more in [&b"\x14\x03\x03\0\x01\x01"[..], b"\x17\x03\x03", b"GET / HTTP/1.1", &[0xff; 40_000]] {
            assert_eq!(parse(&[&wire[..], more].concat()), Ok(Some(wanted.clone())));
        }
    }
}

#[test]
fn records_may_cut_a_hello_anywhere() {
    for (wire, wanted) in real() {
        let handshake = &wire[TLS_RECORD_HEADER..];
        // In two pieces, at every place.
        for at in 1..handshake.len() {
            let cut = [record(&handshake[..at]), record(&handshake[at..])].concat();
            assert_eq!(parse(&cut), Ok(Some(wanted.clone())), "cut at {at}");
            assert_eq!(parse(&cut[..cut.len() - 1]), Ok(None), "cut at {at}");
        }
        let least = handshake.len().div_ceil(CLIENT_HELLO_RECORDS_MAX);
        for sizes in [&[least][..], &[1, 1, 1, 1, 1, handshake.len()], &[5, 100], &[3, 400, 7], &[2, 1, 2, 500]] {
            let cut = records(handshake, sizes);
            for end in 0..cut.len() {
                assert_eq!(parse(&cut[..end]), Ok(None), "{end} bytes of records of {sizes:?}");
            }
            assert_eq!(parse(&cut), Ok(Some(wanted.clone())), "records of {sizes:?}");
        }
        // More records than allowed, and it is said as soon as the last of them is whole.
        let cut = records(handshake, &[1]);
        let end = CLIENT_HELLO_RECORDS_MAX * (TLS_RECORD_HEADER + 1);
        assert_eq!(parse(&cut[..end - 1]), Ok(None));
        assert_eq!(parse(&cut[..end]), Err(NotTls::TooManyRecords));
        assert_eq!(parse(&cut), Err(NotTls::TooManyRecords));
    }
}

/// Whatever comes: no panic, an answer that does not change with more bytes, and nothing wanted beyond the bound.
fn expect_sane(wire: &[u8], random: &mut Random) {
    let whole = parse(wire);
    assert!(whole != Ok(None) || wire.len() < CLIENT_HELLO_WIRE_MAX, "{} bytes, and more wanted", wire.len());
    for _ in 0..8 {
        let cut = random.below(wire.len() + 1);
        let part = parse(&wire[..cut]);
        assert!(part == Ok(None) || part == whole, "{part:?} after {cut} bytes, then {whole:?}: {wire:02x?}");
    }
}

#[test]
fn no_change_of_a_byte_upsets_the_parser() {
    let mut random = Random(5);
    for (wire, _) in real() {
        for at in 0..wire.len() {
            for change in [|_| 0, |_| 0xff, |byte| byte ^ 1, |byte| byte ^ 0x80, |byte: u8| byte.wrapping_add(1)] {
                let mut wire = wire.clone();
                wire[at] = change(wire[at]);
                expect_sane(&wire, &mut random);
            }
        }
    }
}

#[test]
fn no_mixture_upsets_the_parser() {
    let hellos: Vec<Vec<u8>> = real().map(|(wire, _)| wire).collect();
    let mut random = Random(6);
    for _ in 0..20_000 {
        let mut wire = hellos[random.below(hellos.len())].clone();
        if random.below(2) == 0 {
            wire = records(&wire[TLS_RECORD_HEADER..], &[1 + random.below(60), 1 + random.below(400)]);
        }
        for _ in 0..1 + random.below(4) {
            let (from, to) = (random.below(wire.len()), random.below(wire.len()));
            let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 40));
            match random.below(4) {
                0 => drop(wire.drain(from..to)),
                1 => wire[from..to].iter_mut().for_each(|byte| *byte = random.next() as u8),
                2 => wire.splice(from..from, [random.pick(&[0, 1, 3, 22, 255]); 3]).for_each(drop),
                _ => wire.extend_from_within(from..to),
            }
            wire.resize(wire.len().max(1), 0);
        }
        expect_sane(&wire, &mut random);
    }
    for length in (0..2000).chain([20_000, 70_000]) {
        let mut wire: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        if let Some(first) = wire.first_mut() {
            *first = random.pick(&[HANDSHAKE, *first]);
        }
        expect_sane(&wire, &mut random);
    }
}

#[test]
fn what_is_not_tls_is_told_apart() {
    let rows: [(&[u8], Result<(), NotTls>); 48] = [
        (b"", Ok(())),
        // Plain HTTP, as soon as the method is whole.
        (b"GET / HTTP/1.1\r\n", Err(NotTls::PlainHttp)),
        (b"GET ", Err(NotTls::PlainHttp)),
        (b"GET", Ok(())),
        (b"G", Ok(())),
        (b"POST /", Err(NotTls::PlainHttp)),
        (b"HEAD /", Err(NotTls::PlainHttp)),
        (b"PUT /", Err(NotTls::PlainHttp)),
        (b"PATCH /", Err(NotTls::PlainHttp)),
        (b"DELETE /", Err(NotTls::PlainHttp)),
        (b"OPTIONS *", Err(NotTls::PlainHttp)),
        (b"TRACE /", Err(NotTls::PlainHttp)),
        (b"CONNECT a:1", Err(NotTls::PlainHttp)),
        (b"PRI * HTTP/2.0\r\n", Err(NotTls::PlainHttp)),
        (b"CONNEC", Ok(())),
        (b"CONNECX", Err(NotTls::ContentType(b'C'))),
        (b"get / HTTP/1.1", Err(NotTls::ContentType(b'g'))),
        (b"GETS ", Err(NotTls::ContentType(b'G'))),
        (b"PROXY TCP4 ", Err(NotTls::ContentType(b'P'))),
        (b"SSH-2.0-x\r\n", Err(NotTls::ContentType(b'S'))),
        (b"\r\n\r\n\0\r\nQUIT\n", Err(NotTls::ContentType(b'\r'))),
        (b"\0", Err(NotTls::ContentType(0))),
        // The hello of SSL 2.
        (b"\x80", Ok(())),
        (b"\x80\x2e", Ok(())),
        (b"\x80\x2e\x01", Ok(())),
        (b"\x80\x2e\x01\x00\x02", Err(NotTls::Sslv2)),
        (b"\x80\x2e\x01\x03\x01", Err(NotTls::Sslv2)),
        (b"\x80\x2e\x02", Err(NotTls::ContentType(0x80))),
        (b"\x80\x2e\x01\x07", Err(NotTls::ContentType(0x80))),
        (b"\xff\xfb", Ok(())),
        (b"\xff\xfb\x1f", Err(NotTls::ContentType(0xff))),
        // Other records; an alert, and one where the second should be handshake.
        (b"\x15\x03\x01\0\x02\x02\x28", Err(NotTls::ContentType(21))),
        (b"\x17", Err(NotTls::ContentType(23))),
        (b"\x16\x03\x01\0\x02\x01\x00\x15\x03\x01\0\x02", Err(NotTls::ContentType(21))),
        // Record headers.
        (b"\x16", Ok(())),
        (b"\x16\x02\x01\0", Ok(())),
        (b"\x16\x02\x01\0\x05", Err(NotTls::Malformed)),
        (b"\x16\x03\x01\0\0", Err(NotTls::Malformed)),
        (b"\x16\x03\x01\x41\0", Ok(())),
        (b"\x16\x03\x01\x41\x01", Err(NotTls::RecordTooLarge)),
        (b"\x16\x03\x01\xff\xff", Err(NotTls::RecordTooLarge)),
        // Messages.
        (b"\x16\x03\x01\0\x05\x02", Err(NotTls::NotHello(2))),
        (b"\x16\x03\x01\0\x05\0", Err(NotTls::NotHello(0))),
        (b"\x16\x03\x01\0\x05\x01\0\x3f\xfc", Ok(())),
        (b"\x16\x03\x01\0\x05\x01\0\x3f\xfd", Err(NotTls::HelloTooLarge)),
        (b"\x16\x03\x01\0\x05\x01\xff\xff\xff", Err(NotTls::HelloTooLarge)),
        (b"\x16\x03\x01\0\x04\x01\0\0\0", Err(NotTls::Malformed)),
        (b"\x16\x03\x01\0\x05\x01\0\0\x01\0", Err(NotTls::Malformed)),
    ];
    for (wire, wanted) in rows {
        assert_eq!(parse(wire), wanted.map(|()| None), "{wire:02x?}");
    }
    for cause in [NotTls::PlainHttp, NotTls::Sslv2, NotTls::ContentType(21), NotTls::ContentType(0)] {
        assert!(!cause.text().is_empty());
    }
}

#[test]
fn the_largest_hello_fits_its_bound() {
    let padded = |size: usize| {
        let fixed = beginning().len() + HANDSHAKE_HEADER + 2 + named(b"a.example").len() + 4;
        let extensions = [named(b"a.example"), extension(21, &vec![0; size - fixed])].concat();
        message(&[&beginning()[..], &long(&extensions)].concat())
    };
    let largest = padded(CLIENT_HELLO_MAX);
    assert_eq!(largest.len(), CLIENT_HELLO_MAX);
    let wire = records(&largest, &[CLIENT_HELLO_MAX / CLIENT_HELLO_RECORDS_MAX]);
    assert_eq!(wire.len(), CLIENT_HELLO_WIRE_MAX);
    for wire in [wire, record(&largest)] {
        assert_eq!(parse(&wire[..wire.len() - 1]), Ok(None));
        assert_eq!(parse(&wire).unwrap().unwrap().server_name.as_deref(), Some("a.example"));
    }
    let larger = padded(CLIENT_HELLO_MAX + 1);
    assert_eq!(parse(&records(&larger, &[10_000])[..9]), Err(NotTls::HelloTooLarge));
}

#[test]
fn only_host_names_are_names() {
    let label = "a".repeat(63);
    let longest = [&label[..], &label, &label, &label[2..]].join(".");
    let too_long = format!("{longest}a");
    let rows: [(&str, Option<&str>); 29] = [
        ("example.org", Some("example.org")),
        ("WWW.Example.ORG", Some("www.example.org")),
        ("example.org.", Some("example.org")),
        ("localhost", Some("localhost")),
        ("a_b.example.org", Some("a_b.example.org")),
        ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
        ("1.example", Some("1.example")),
        ("a.1b", Some("a.1b")),
        (&longest, Some(&longest)),
        (&too_long, None),
        ("192.0.2.1", None),
        ("192.0.2.1.", None),
        ("1", None),
        ("a.1", None),
        ("::1", None),
        ("[::1]", None),
        ("", None),
        (".", None),
        (".example.org", None),
        ("a..example.org", None),
        ("example.org..", None),
        ("-a.example", None),
        ("a-.example", None),
        ("a b.example", None),
        ("*.example.org", None),
        ("a.example\0.org", None),
        ("a.example:443", None),
        ("b\u{fc}cher.example", None),
        ("a/../b", None),
    ];
    assert_eq!(longest.len(), 253);
    for (name, wanted) in rows {
        let hello = with(&named(name.as_bytes())).unwrap().unwrap();
        assert_eq!(hello.server_name.as_deref(), wanted, "{name}");
        // rustls must see the same: sections are chosen by our reading, and certificates by its.
        let theirs = rustls::pki_types::DnsName::try_from(name).ok();
        assert_eq!(theirs.is_some(), wanted.is_some(), "{name}");
    }
    assert_eq!(with(&named(b"a\xff.example")).unwrap().unwrap().server_name, None);
    assert_eq!(with(&named(format!("{label}a.example").as_bytes())).unwrap().unwrap().server_name, None);
}

/// Name, protocols, version.
type Said = (Option<String>, Vec<Vec<u8>>, u16);

#[test]
fn extensions_are_read_strictly() {
    let entry = |kind: u8, name: &[u8]| [&[kind], &long(name)[..]].concat();
    let list = |entries: &[Vec<u8>]| extension(SERVER_NAME, &long(&entries.concat()));
    let alpn = |content: &[u8]| extension(ALPN, content);
    let versions = |content: &[u8]| extension(SUPPORTED_VERSIONS, content);
    let name = |name: &str| Some((Some(name.to_owned()), Vec::new(), 0x0303));
    let none = Some((None, Vec::new(), 0x0303));
    let version = |number: u16| Some((None, Vec::new(), number));
    let rows: Vec<(&str, Vec<u8>, Option<Said>)> = vec![
        ("nothing", vec![], none.clone()),
        ("unknown ones", [extension(0x0a0a, &[1]), extension(65_000, &[]), named(b"a")].concat(), name("a")),
        ("two unknown ones", [extension(9, &[1]), extension(9, &[1])].concat(), none.clone()),
        ("a name twice", [named(b"a"), named(b"a")].concat(), None),
        ("two names in one list", list(&[entry(0, b"a"), entry(0, b"b")]), None),
        ("a name of another type", list(&[entry(1, b"a")]), none.clone()),
        ("another type behind the name", list(&[entry(0, b"a"), vec![7, 1, 2]]), name("a")),
        ("another type before the name", list(&[entry(1, b"b"), entry(0, b"a")]), none.clone()),
        ("no list of names", extension(SERVER_NAME, &[]), None),
        ("an empty list of names", list(&[]), None),
        ("a list that ends early", extension(SERVER_NAME, &[0, 5, 0, 0, 1, b'a']), None),
        ("a list that ends late", extension(SERVER_NAME, &[0, 4, 0, 0, 1, b'a', 0]), None),
        ("a name beyond its list", extension(SERVER_NAME, &[0, 4, 0, 0, 2, b'a']), None),
        ("a type without a name", extension(SERVER_NAME, &[0, 1, 0]), None),
        ("ALPN", alpn(&long(&short(b"h2"))), Some((None, vec![b"h2".to_vec()], 0x0303))),
        ("ALPN twice", [alpn(&long(&short(b"h2"))), alpn(&long(&short(b"h2")))].concat(), None),
        ("ALPN without protocols", alpn(&long(&[])), None),
        ("an empty protocol", alpn(&long(&[0])), None),
        ("a protocol beyond its list", alpn(&long(&[3, b'h', b'2'])), None),
        ("bytes behind ALPN", alpn(&[0, 3, 2, b'h', b'2', 0]), None),
        ("TLS 1.3", versions(&short(&[3, 4])), version(0x0304)),
        ("versions and grease", versions(&short(&[0x7a, 0x7a, 3, 3, 3, 4, 3, 5])), version(0x0304)),
        ("TLS 1.1", versions(&short(&[3, 2, 3, 1])), version(0x0302)),
        ("grease alone", versions(&short(&[0x7a, 0x7a])), version(0x0303)),
        ("no versions", versions(&short(&[])), None),
        ("half a version", versions(&short(&[3, 4, 3])), None),
        ("bytes behind versions", versions(&[2, 3, 4, 0]), None),
        ("an extension beyond the message", vec![0, 9, 0, 1], None),
        ("half an extension", vec![0, 9, 0], None),
    ];
    for (what, extensions, wanted) in rows {
        let found = with(&extensions).map(|hello| hello.map(|hello| (hello.server_name, hello.alpn, hello.version)));
        assert_eq!(found, wanted.map(Some).ok_or(NotTls::Malformed), "{what}");
    }
    let many: Vec<u8> = (0..100).flat_map(|number| short(&[b'p', number])).collect();
    let kept = with(&alpn(&long(&many))).unwrap().unwrap().alpn;
    assert_eq!((kept.len(), &kept[0][..]), (CLIENT_HELLO_ALPN_MAX, &b"p\0"[..]));
}

#[test]
fn messages_are_read_strictly() {
    let body = |session: &[u8], suites: &[u8], compressions: &[u8], rest: &[u8]| {
        [&[3, 1][..], &[7; 32], &short(session), &long(suites), &short(compressions), rest].concat()
    };
    let rows = [
        ("no extensions, as before TLS 1.2", body(&[], &[0, 47], &[0], &[]), true),
        ("an empty list of them", body(&[], &[0, 47], &[0], &[0, 0]), true),
        ("half a length", body(&[], &[0, 47], &[0], &[0]), false),
        ("bytes behind the extensions", body(&[], &[0, 47], &[0], &[0, 0, 0]), false),
        ("a session that is too long", body(&[1; 33], &[0, 47], &[0], &[]), false),
        ("no suites", body(&[], &[], &[0], &[]), false),
        ("half a suite", body(&[], &[0, 47, 1], &[0], &[]), false),
        ("no compression method", body(&[], &[0, 47], &[], &[]), false),
        ("a message that ends before its session", [&[3, 3][..], &[7; 32]].concat(), false),
        ("a message that ends in its random", vec![3, 3, 7, 7], false),
    ];
    for (what, body, right) in rows {
        let found = parse(&record(&message(&body)));
        let plain = ClientHello { server_name: None, alpn: Vec::new(), version: 0x0301 };
        assert_eq!(found, if right { Ok(Some(plain)) } else { Err(NotTls::Malformed) }, "{what}");
    }
}
