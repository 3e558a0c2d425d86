//! Certificates are replaced on disk, and nobody is told: they are picked up, checked and swapped while requests pass.

use super::support::certificates::{Authority, Kind, Order, Pair};
use super::support::load::{Load, tally};
use super::support::tls::Wish;
use super::support::{Backend, Client, Place, Ringgate, Setup, wait_until};
use super::{LISTEN, SITE, certificate, folder, offering, shown};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

/// Files as certbot keeps them: `live/NAME.pem` are symbolic links to `archive/NAME1.pem`, `archive/NAME2.pem`, ...
fn lineage(folder: &Path, number: u32, pair: &Pair) {
    for (name, text) in [("privkey", &pair.identity.key), ("fullchain", &pair.identity.chain)] {
        let (archive, live) = (folder.join("archive"), folder.join("live"));
        std::fs::create_dir_all(&archive).and_then(|()| std::fs::create_dir_all(&live)).expect("folders");
        std::fs::write(archive.join(format!("{name}{number}.pem")), text).expect("a file can be written");
        let link = live.join(format!("{name}.pem"));
        // certbot removes the link, then makes the new one: for a moment there is none.
        let _ = std::fs::remove_file(&link);
        symlink(format!("../archive/{name}{number}.pem"), link).expect("a link can be made");
    }
}

const LIVE: &str = "ssl_certificate = \"{dir}/live/fullchain.pem\"\nssl_certificate_key = \"{dir}/live/privkey.pem\"\n";

#[track_caller]
fn start(folder: tempfile::TempDir, backend: &Backend, lines: &str) -> Ringgate {
    Setup::new()
        .upstream("app", &[backend.place()], "")
        .server(LISTEN, &format!("server_name = \"{SITE}\"\n{lines}"), &[("/", "http://app", "")])
        .start_in(folder)
}

#[track_caller]
fn expect_shown(place: &Place, pair: &Pair, what: &str) {
    wait_until(what, || shown(place, SITE).expect("a handshake") == certificate(pair));
}

/// Clients that connect for every request: each makes a handshake.
fn load(place: &Place, authority: &Authority) -> Load {
    let config = Arc::new(Wish { trusted: Some(&authority.pem()), ..Wish::default() }.config());
    let place = place.clone();
    let request = format!("GET / HTTP/1.1\r\nHost: {SITE}\r\nConnection: close\r\n\r\n");
    Load::connected_by(move || Client::try_secure(&place, &config, SITE), 4, "GET", &request)
}

#[test]
fn renewed_files_are_served_without_a_failed_request() {
    let backend = Backend::fixed("hello");
    let authority = Authority::new("root");
    let folder = folder();
    let first = authority.server(&[SITE]);
    lineage(folder.path(), 1, &first);
    let ringgate = start(folder, &backend, LIVE);
    let place = ringgate.place();
    let mut kept = Client::secure(place, &Arc::new(Wish::default().config()), SITE);
    assert_eq!(kept.get("/").text(), "hello");
    assert_eq!(shown(place, SITE), Ok(certificate(&first)));
    let load = load(place, &authority);
    let mut number = 1;
    for kind in [Kind::Ecdsa, Kind::Rsa, Kind::Ed25519] {
        number += 1;
        let next = authority.issue(&Order::server(&[SITE]).kind(kind));
        load.expect_more(20);
        lineage(ringgate.folder(), number, &next);
        expect_shown(place, &next, "the renewed certificate is shown");
        load.expect_more(20);
    }
    let (bodies, failures) = tally(&load.stop());
    assert!(failures.is_empty(), "{failures:?}\n{}", ringgate.log());
    assert!(bodies["hello"] > 100);
    assert_eq!(kept.get("/").text(), "hello", "old connections go on");
}

/// Plain files, replaced by rename or written in place.
#[test]
fn replaced_files_are_picked_up_too() {
    let backend = Backend::fixed("hello");
    let authority = Authority::new("root");
    let pairs: Vec<Pair> = (0..3).map(|_| authority.server(&[SITE])).collect();
    let folder = folder();
    pairs[0].write(folder.path(), "site");
    let ringgate = start(folder, &backend, &offering(&["site"]));
    assert_eq!(shown(ringgate.place(), SITE), Ok(certificate(&pairs[0])));
    pairs[1].write(ringgate.folder(), "site");
    expect_shown(ringgate.place(), &pairs[1], "a rename is seen");
    std::fs::write(ringgate.folder().join("site.crt"), &pairs[2].identity.chain).expect("a file can be written");
    std::fs::write(ringgate.folder().join("site.key"), &pairs[2].identity.key).expect("a file can be written");
    expect_shown(ringgate.place(), &pairs[2], "a file written in place is seen");
}

/// What is no good pair changes nothing but what log and status say; and the next good one is taken.
#[test]
fn a_bad_pair_keeps_the_old_one() {
    let backend = Backend::fixed("hello");
    let authority = Authority::new("root");
    let good = authority.server(&[SITE]);
    let other = authority.server(&[SITE]);
    let expired = authority.issue(&Order::server(&[SITE]).expired());
    let folder = folder();
    good.write(folder.path(), "site");
    let ringgate = start(folder, &backend, &offering(&["site"]));
    let with = |chain: &str, key: &str| {
        let identity = super::support::tls::Identity { chain: chain.into(), key: key.into() };
        Pair { identity, serial: 0 }
    };
    let cut = &other.identity.chain[..other.identity.chain.len() / 2];
    let rows = [
        ("another's key", with(&other.identity.chain, &authority.server(&[SITE]).identity.key)),
        ("half a file", with(cut, &other.identity.key)),
        ("empty files", with("", "")),
        ("no PEM", with("certificate", "key")),
        ("expired", expired),
    ];
    for (case, pair) in rows {
        let before = ringgate.log().lines().count();
        pair.write(ringgate.folder(), "site");
        wait_until(&format!("{case}: the log says so"), || {
            let log = ringgate.log();
            log.lines().skip(before).any(|line| line.contains("site.crt") || line.contains("site.key"))
        });
        let status = ringgate.status().text();
        assert!(status.contains("site.crt"), "{case}: {status}");
        assert_eq!(shown(ringgate.place(), SITE), Ok(certificate(&good)), "{case}");
        // A reload neither takes it nor stops serving.
        let _ = ringgate.command(&["reload"]);
        assert_eq!(shown(ringgate.place(), SITE), Ok(certificate(&good)), "{case}, after a reload");
    }
    std::fs::remove_file(ringgate.folder().join("site.crt")).expect("it is there");
    assert_eq!(shown(ringgate.place(), SITE), Ok(certificate(&good)), "files that are gone");
    other.write(ringgate.folder(), "site");
    expect_shown(ringgate.place(), &other, "the next good pair is taken");
}

/// A site whose certificate is not there yet starts all the same, and says so.
#[test]
fn a_placeholder_serves_until_the_certificate_is_there() {
    let backend = Backend::fixed("hello");
    let authority = Authority::new("root");
    let folder = folder();
    std::fs::create_dir(folder.path().join("live")).expect("a folder");
    let ringgate = start(folder, &backend, LIVE);
    ringgate.expect_log("fullchain.pem");
    let mut client = Client::secure(ringgate.place(), &Arc::new(Wish::default().config()), SITE);
    assert_eq!(client.get("/").text(), "hello", "whoever does not check is served");
    let trusting = Arc::new(Wish { trusted: Some(&authority.pem()), ..Wish::default() }.config());
    let refused = Client::try_secure(ringgate.place(), &trusting, SITE).err().expect("nobody signed it");
    assert!(refused.to_string().to_lowercase().contains("certificate"), "{refused}");
    assert!(ringgate.status().text().contains("placeholder"), "{}", ringgate.status().text());
    let pair = authority.server(&[SITE]);
    lineage(ringgate.folder(), 1, &pair);
    expect_shown(ringgate.place(), &pair, "the certificate takes the placeholder's place");
    Client::secure(ringgate.place(), &trusting, SITE);
    wait_until("status agrees", || !ringgate.status().text().contains("placeholder"));
}

/// The folder itself may not be there yet: that is how certbot finds it.
#[test]
fn even_the_folder_may_come_later() {
    let backend = Backend::fixed("hello");
    let authority = Authority::new("root");
    let ringgate = start(folder(), &backend, LIVE);
    assert!(shown(ringgate.place(), SITE).is_ok(), "a placeholder");
    let pair = authority.server(&[SITE]);
    lineage(ringgate.folder(), 1, &pair);
    expect_shown(ringgate.place(), &pair, "found although its folder is new");
}
