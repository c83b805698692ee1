//! Sources behind TLS: the machine's own roots decide, and content is signed all the same.

use crate::support::{
    World,
    tls::{Authority, Certificate},
    tree,
};

// HM-21
#[test]
fn a_certificate_of_an_authority_that_the_machine_trusts_is_accepted() {
    let (world, pin) = World::published();
    let authority = Authority::new();
    let mirror = authority.serve(&world.store(), Certificate::Right);
    let roots = authority.write(world.path("ca.pem"));
    world.restore_from(&mirror.url, &pin).env("SSL_CERT_FILE", roots).summary();
    tree::assert_same(&world.path("data"), &world.target());
    assert!(mirror.url.starts_with("https://") && !mirror.chunks_asked().is_empty());
}

// HM-21
#[test]
fn a_broken_certificate_fails_that_source_and_no_other() {
    let (world, pin) = World::published();
    let authority = Authority::new();
    let roots = authority.write(world.path("ca.pem"));
    let stranger = Authority::new();
    let evil = [
        authority.serve(&world.store(), Certificate::Expired),
        authority.serve(&world.store(), Certificate::OtherName),
        stranger.serve(&world.store(), Certificate::Right),
    ];
    for mirror in &evil {
        let restore = world.restore_from(&mirror.url, &pin).env("SSL_CERT_FILE", &roots).args(["--max-wait", "1s"]);
        let error = restore.json_error(16);
        assert!(error.to_string().contains("TLS certificate"), "{error}");
        assert!(!world.target().exists() && !world.staging().exists());
    }
    let honest = authority.serve(&world.store(), Certificate::Right);
    let mut restore = world.restore_from(&honest.url, &pin).env("SSL_CERT_FILE", &roots);
    for mirror in &evil {
        restore = restore.args(["--from", &mirror.url]);
    }
    let restored = restore.summary();
    tree::assert_same(&world.path("data"), &world.target());
    assert!(evil.iter().all(|mirror| mirror.asked().is_empty()), "nothing was asked over a connection that is not trusted: {restored}");
}
