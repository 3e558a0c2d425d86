use super::super::testing::{Authority, DAY, Pair, Wanted, files, now};
use super::*;
use rcgen::{KeyPair, RsaKeySize};

fn read_pair(chain: &[u8], key: &[u8]) -> Result<Certificate, String> {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path(), "a");
    std::fs::write(&files.chain, chain).unwrap();
    std::fs::write(&files.key, key).unwrap();
    read(&files, now()).map_err(|error| error.replace(folder.path().to_str().unwrap(), "DIR"))
}

/// What lies within a PKCS #8 key: SEC 1 or PKCS #1.
fn inner(key: &KeyPair, label: &str) -> String {
    let der = key.serialize_der();
    let (_, sequence) = x509_parser::der_parser::parse_der(&der).unwrap();
    let inner = sequence.as_sequence().unwrap()[2].as_slice().unwrap().to_vec();
    pem::encode(&pem::Pem::new(label, inner))
}

#[test]
fn keys_of_every_kind_and_form_are_read() {
    let authority = Authority::new("CA");
    let rows = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, Kind::Ecdsa, Some("EC PRIVATE KEY")),
        (&rcgen::PKCS_ECDSA_P384_SHA384, Kind::Ecdsa, Some("EC PRIVATE KEY")),
        (&rcgen::PKCS_ED25519, Kind::Ed25519, None),
        (&rcgen::PKCS_RSA_SHA256, Kind::Rsa, Some("RSA PRIVATE KEY")),
    ];
    for (algorithm, kind, label) in rows {
        let pair = authority.sign(Wanted { kind: algorithm, ..Wanted::default() });
        let forms = [Some(pair.key.serialize_pem()), label.map(|label| inner(&pair.key, label))];
        for key in forms.into_iter().flatten() {
            let read = read_pair(pair.certificate.as_bytes(), key.as_bytes());
            assert_eq!(read.unwrap_or_else(|error| panic!("{error}")).about.kind, kind, "{key}");
        }
    }
}

#[test]
fn what_a_certificate_says_is_known() {
    let (root, days) = (Authority::new("Root"), -3..40);
    let names = ["A.Test", "*.b.test", "192.0.2.1", "2001:db8::1"].map(str::to_owned).to_vec();
    let pair = root.intermediate("Below").sign(Wanted { names, days, ..Wanted::default() });
    let about = read_pair(pair.certificate.as_bytes(), pair.key.serialize_pem().as_bytes()).unwrap().about;
    assert_eq!(about.names, ["a.test", "*.b.test", "192.0.2.1", "2001:db8::1"]);
    assert_eq!((&about.issuer[..], about.self_signed, about.placeholder), ("Below, Test", false, false));
    assert_eq!(about.not_after - about.not_before, 43 * DAY);
    assert_eq!(about.fingerprint.len(), 64);
    assert!(about.is_good(now()) && about.is_good(about.not_after) && !about.is_good(about.not_after + 1));
    assert!(about.is_good(about.not_before) && !about.is_good(about.not_before - 1));
    let left = [(0, 0), (DAY - 1, 0), (DAY, 1), (-1, -1), (-DAY, -1), (-DAY - 1, -2)];
    left.iter().for_each(|&(before, days)| assert_eq!(about.days_left(about.not_after - before), days));
    let covered = [
        ("a.test", true),
        ("x.b.test", true),
        ("*.b.test", true),
        ("192.0.2.1", true),
        ("b.test", false),
        ("x.y.b.test", false),
        ("xb.test", false),
        ("test", false),
        ("", false),
    ];
    for (name, covers) in covered {
        assert_eq!(about.covers(name), covers, "{name}");
    }
}

#[test]
fn days_are_written_as_people_do() {
    let rows = [(0, "1970-01-01"), (951_782_400, "2000-02-29"), (1_795_219_200, "2026-11-21"), (-1, "1969-12-31")];
    rows.iter().for_each(|&(seconds, text)| assert_eq!(date(seconds), text));
    assert_eq!(date(i64::MAX), "a day beyond all calendars");
}

#[test]
fn bad_files_are_named_with_what_to_do() {
    let authority = Authority::new("CA");
    let Pair { certificate, key, der } = authority.server(&["a.test"]);
    let (chain, key_text) = (certificate.as_bytes(), key.serialize_pem());
    let other = KeyPair::generate().unwrap().serialize_pem();
    let ca_first = authority.pem() + &certificate;
    let key_der = key.serialize_der();
    let damaged = certificate.replacen("\nMII", "\n!!!", 1);
    let no_certificate = pem::encode(&pem::Pem::new("CERTIFICATE", b"\x30\x03\x02\x01\x01".to_vec()));
    let cut = &chain[..chain.len() / 2];
    let key_bytes = key_text.as_bytes();
    let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n").into_bytes();
    let rows: Vec<(&[u8], Vec<u8>, &[&str])> = vec![
        (chain, other.into_bytes(), &["key in DIR/a.key is not that of the certificate in DIR/a.pem"]),
        (ca_first.as_bytes(), key_bytes.to_vec(), &["DIR/a.pem", "wrong order"]),
        (key_bytes, chain.to_vec(), &["DIR/a.pem holds a key", "swapped"]),
        (chain, chain.to_vec(), &["DIR/a.key holds a certificate", "swapped"]),
        (&der, key_bytes.to_vec(), &["DIR/a.pem is DER", "openssl x509 -inform der"]),
        (chain, key_der, &["DIR/a.key is DER", "openssl pkey -inform der"]),
        (b"", key_bytes.to_vec(), &["DIR/a.pem is empty"]),
        (chain, b" \n\n".to_vec(), &["DIR/a.key is empty"]),
        (b"hello", key_bytes.to_vec(), &["DIR/a.pem holds no certificate", "-----BEGIN CERTIFICATE-----"]),
        (chain, b"hello".to_vec(), &["DIR/a.key holds no key"]),
        (chain, pem("ENCRYPTED PRIVATE KEY"), &["DIR/a.key is encrypted", "openssl pkey"]),
        (
            chain,
            b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
                .to_vec(),
            &["DIR/a.key is encrypted"],
        ),
        (chain, pem("PUBLIC KEY"), &["public key", "private"]),
        (chain, pem("OPENSSH PRIVATE KEY"), &["SSH"]),
        (chain, pem("DSA PRIVATE KEY"), &["DSA"]),
        (chain, pem("PRIVATE KEY"), &["DIR/a.key", "kind that cannot be used"]),
        (damaged.as_bytes(), key_bytes.to_vec(), &["DIR/a.pem", "damaged"]),
        (cut, key_bytes.to_vec(), &["DIR/a.pem", "damaged"]),
        (no_certificate.as_bytes(), key_bytes.to_vec(), &["DIR/a.pem", "first certificate", "damaged"]),
        (chain, key_bytes[..60].to_vec(), &["DIR/a.key", "damaged"]),
    ];
    for (chain, key, parts) in rows {
        let error = read_pair(chain, &key).expect_err(parts[0]);
        parts.iter().for_each(|part| assert!(error.contains(part), "{error}: {part}"));
    }
    for label in ["CERTIFICATE REQUEST", "TRUSTED CERTIFICATE", "PKCS7"] {
        let error = read_pair(&pem(label), key_bytes).expect_err(label);
        assert!(error.starts_with("DIR/a.pem holds") && !error.contains("holds no"), "{error}");
    }
}

#[test]
fn small_rsa_keys_are_refused_and_large_ones_not() {
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072).unwrap();
    let made = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let good = read_pair(made.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    assert!(good.about.self_signed);
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    make_pipe(&pipe);
    let rows = [
        (folder.path().to_owned(), "is a folder"),
        (pipe, "is no regular file"),
        ("/dev/null".into(), "is no regular file"),
        (folder.path().join("missing"), "is not there"),
        (folder.path().join("missing/below"), "is not there"),
    ];
    for (path, part) in rows {
        let error = read_file(&path).expect_err(part);
        assert!(error.contains(part) && error.contains(path.to_str().unwrap()), "{error}");
    }
}

fn make_pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

#[test]
fn files_too_large_to_be_meant_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    std::fs::File::create(&path).unwrap().set_len(PEM_FILE_MAX + 1).unwrap();
    assert!(read_file(&path).expect_err("too large").contains("KiB"));
}

#[test]
fn time_is_told_but_decides_nothing() {
    let authority = Authority::new("CA");
    for (days, part) in [(-20..-1, "expired on "), (2..20, "good only from ")] {
        let pair = authority.sign(Wanted { days, ..Wanted::default() });
        let read = read_pair(pair.certificate.as_bytes(), pair.key.serialize_pem().as_bytes()).unwrap();
        assert!(read.lapse.as_ref().is_some_and(|lapse| lapse.contains(part)), "{:?}", read.lapse);
    }
    let files = files(Path::new("/x"), "a");
    let about = read_pair_about(&authority);
    let at = |left: i64| expires(&files, &about, about.not_after - left);
    for (left, part) in [(-1, "expired on"), (5, "within a day"), (DAY, "in 1 day ("), (5 * DAY, "in 5 days (")] {
        assert!(at(left).contains(part) && at(left).contains("/x/a.pem"), "{}", at(left));
    }
}

fn read_pair_about(authority: &Authority) -> About {
    let pair = authority.server(&["a.test"]);
    read_pair(pair.certificate.as_bytes(), pair.key.serialize_pem().as_bytes()).unwrap().about
}

#[test]
fn chains_that_clients_may_refuse_are_remarked() {
    let (root, stranger) = (Authority::new("Root"), Authority::new("Stranger"));
    let below = root.intermediate("Below");
    let pair = below.server(&["a.test"]);
    let remarks = |more: &str| {
        let chain = pair.certificate.clone() + more;
        read_pair(chain.as_bytes(), pair.key.serialize_pem().as_bytes()).unwrap().remarks
    };
    assert!(remarks("").is_empty() && remarks(&below.pem()).is_empty());
    assert!(remarks(&(below.pem() + &root.pem())).is_empty());
    assert!(remarks(&stranger.pem())[0].contains("followed by that of its issuer"));
    assert!(remarks(&(root.pem() + &below.pem()))[0].contains("followed by"));
    let garbage = pem::encode(&pem::Pem::new("CERTIFICATE", b"\x30\x03\x02\x01\x01".to_vec()));
    assert!(remarks(&garbage)[0].contains("cannot be read"));

    let folder = tempfile::tempdir().unwrap();
    let written = pair.write(folder.path(), "cert");
    assert!(read(&written, now()).unwrap().remarks.is_empty());
    std::fs::write(folder.path().join("fullchain.pem"), "").unwrap();
    assert!(read(&written, now()).unwrap().remarks[0].contains("fullchain.pem"));
}

#[test]
fn it_is_seen_which_files_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path(), "a");
    assert_eq!(presence(&files), Presence::Neither);
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &files.chain).unwrap();
    assert_eq!(presence(&files), Presence::Neither);
    std::fs::write(&files.key, "").unwrap();
    assert_eq!(presence(&files), Presence::One { there: &files.key, missing: &files.chain });
    std::fs::remove_file(&files.chain).unwrap();
    std::fs::rename(&files.key, &files.chain).unwrap();
    assert_eq!(presence(&files), Presence::One { there: &files.chain, missing: &files.key });
    std::fs::write(&files.key, "").unwrap();
    assert_eq!(presence(&files), Presence::Both);
}
