//! The same work by qsync and by a program of somebody else gives the same bytes: tar, BLAKE3, zstd, DSSE.

use std::{fs, path::Path};

use qsync::{
    format::{
        frame::{Decoder, Encoder, FrameError},
        head::Head,
        payload::Payload as _,
        root::KeyBytes,
    },
    trust::{Envelope, Signature},
};

use crate::{
    programs::{assert_diff_finds_nothing, shell},
    support::{CHANNEL, World, tree},
};

/// A published world, some of whose names are longer than a tar header has room for.
fn published() -> (World, String) {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    let deep = world.path("data").join("n".repeat(60)).join("o".repeat(60));
    fs::create_dir_all(deep.join("p".repeat(250))).unwrap();
    tree::write(&deep.join("q".repeat(255)), 70_000);
    tree::write(&deep.join("short"), 513);
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    (world, pin)
}

fn export(world: &World, pin: &str) {
    let output = world.operator().args(["export", CHANNEL, "--trust", pin, "--from"]).arg(world.store()).output();
    assert!(output.status.success());
    fs::write(world.path("export.tar"), output.stdout).unwrap();
}

#[test]
fn gnu_tar_and_bsdtar_see_the_same_members_and_unpack_the_same_files() {
    let (world, pin) = published();
    export(&world, &pin);
    let dir = world.path("");
    let names = |program: &str| shell(&format!("{program} -tf export.tar"), &dir);
    assert_eq!(names("tar"), names("bsdtar"));
    let mut expected: Vec<_> = tree::snapshot(&world.path("data"))
        .into_iter()
        .map(|(path, file)| format!("{}{}", path.display(), if file.is_none() { "/" } else { "" }))
        .collect();
    let mut found: Vec<_> = names("tar").lines().map(str::to_owned).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    for line in shell("TZ=UTC tar --numeric-owner --full-time -tvf export.tar", &dir).lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        assert!(["-rw-r-----", "drwxr-x---"].contains(&words[0]), "{line}");
        assert_eq!((words[1], words[3], words[4]), ("0/0", "1980-01-01", "00:00:00"), "{line}");
    }
    for program in ["tar", "bsdtar"] {
        let said = shell(&format!("mkdir {program} && {program} -xf export.tar -C {program} 2>&1"), &dir);
        assert_eq!(said, "");
        assert_diff_finds_nothing(&world.path("data"), &world.path(program));
    }
}

#[test]
fn b3sum_agrees_with_every_name_in_a_store_and_every_hash_of_a_manifest() {
    let (world, pin) = published();
    let sums = shell("find chunks lists manifests -type f -print0 | xargs -0 b3sum", &world.store());
    let named = sums.lines().filter(|line| line.split_once("  ").is_some_and(|(sum, path)| path.ends_with(sum)));
    assert!(sums.lines().count() > 30);
    assert_eq!(named.count(), sums.lines().count());

    let lines = world.operator().args(["show", CHANNEL, "--files", "--trust", &pin, "--from"]).arg(world.store()).json_lines();
    let files = lines.iter().filter(|line| line["type"] == "file");
    let list: String = files.map(|file| format!("{}  {}\n", file["b3"].as_str().unwrap(), file["path"].as_str().unwrap())).collect();
    assert_eq!(list.lines().count(), tree::files(&world.path("data")).len());
    fs::write(world.path("sums"), &list).unwrap();
    shell("b3sum --quiet --check ../sums", &world.path("data"));
}

#[test]
fn the_zstd_tool_finds_in_every_chunk_one_frame_of_the_kind_that_the_format_asks_for() {
    let (world, _) = published();
    for chunk in world.chunks() {
        let told = shell(&format!("zstd -lv {} 2>&1", chunk.display()), &world.store());
        let has = |line: &str| told.lines().any(|found| found == line);
        assert!(has("# Zstandard Frames: 1") && has("DictID: 0") && has("Check: None") && told.contains("Decompressed Size: "), "{told}");
        assert!(!told.contains("Skippable"), "{told}");
    }
}

#[test]
fn the_frames_of_a_file_one_after_the_other_are_the_file_for_zstd() {
    let (world, pin) = published();
    let lines = world.operator().args(["show", CHANNEL, "--chunks", "--trust", &pin, "--from"]).arg(world.store()).json_lines();
    let file = "a/four-chunks-five";
    let frames = lines.iter().filter(|line| line["type"] == "chunk" && line["path"] == file).map(|line| line["frame"].as_str().unwrap());
    let paths: Vec<_> = frames.map(|frame| format!("chunks/{}/{frame}", &frame[..2])).collect();
    assert_eq!(paths.len(), 5);
    shell(&format!("cat {} | zstd -d | cmp - ../data/{file}", paths.join(" ")), &world.store());
}

#[test]
fn qsync_and_the_zstd_tool_read_each_others_frames() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let contents: [&[u8]; 4] = [b"x", &b"the same line\n".repeat(50_000), &vec![0; 1 << 20], &noise(1 << 20)];
    for content in contents {
        fs::write(dir.join("raw"), content).unwrap();
        for level in [1, 3, 9, 19] {
            let mut frame = Vec::new();
            Encoder::new(level).unwrap().encode(content, &mut frame).unwrap();
            fs::write(dir.join("ours"), &frame).unwrap();
            shell("zstd -dq -c < ours | cmp - raw", dir);

            shell(&format!("zstd -q -f -{level} --no-check raw -o theirs"), dir);
            assert_eq!(decoded(&dir.join("theirs"), content.len()).as_deref(), Ok(content), "level {level}");
        }
    }
    // What the format leaves out, made by the tool itself.
    train_dictionary(dir);
    for (options, forbidden) in [("--check", "a checksum"), ("--no-check -D dictionary", "a dictionary")] {
        shell(&format!("zstd -q -f {options} raw -o theirs"), dir);
        let refused = decoded(&dir.join("theirs"), 1 << 20);
        assert!(matches!(refused, Err(FrameError::Forbidden(what)) if what == forbidden), "{options}: {refused:?}");
    }
    shell("cat ours ours > theirs", dir);
    assert!(matches!(decoded(&dir.join("theirs"), 1 << 20), Err(FrameError::Trailing { .. })));
    shell("zstd -q -c --no-check < raw > theirs", dir);
    assert!(decoded(&dir.join("theirs"), 1 << 20).is_err(), "a stream says no length");
}

fn train_dictionary(dir: &Path) {
    fs::create_dir(dir.join("samples")).unwrap();
    for sample in 0..200 {
        let text = format!("account {sample} has version {} and balance {}\n", sample * 7, sample * 31).repeat(5);
        fs::write(dir.join(format!("samples/{sample}")), text).unwrap();
    }
    shell("zstd -q --train samples/* --maxdict=2KB -o dictionary 2>&1", dir);
}

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

fn decoded(path: &Path, raw_len: usize) -> Result<Vec<u8>, FrameError> {
    let mut raw = Vec::new();
    Decoder::new().decode(&fs::read(path).unwrap(), raw_len as u32, &mut raw)?;
    Ok(raw)
}

#[test]
fn what_openssl_signs_counts_and_what_it_signs_otherwise_does_not() {
    let (world, _) = published();
    let dir = world.path("");
    shell("openssl genpkey -algorithm ed25519 -out key.pem && openssl pkey -in key.pem -pubout -outform DER -out key.der", &dir);
    let key = KeyBytes(fs::read(world.path("key.der")).unwrap()[12..].try_into().unwrap());
    let published = Envelope::parse(&fs::read(world.store().join(format!("heads/{CHANNEL}.json"))).unwrap()).unwrap();
    let mut envelope = Envelope::unsigned::<Head>(published.payload().to_vec());
    assert!(Head::from_bytes(envelope.payload()).is_ok());
    let signed = |message: &[u8]| {
        fs::write(world.path("message"), message).unwrap();
        shell("openssl pkeyutl -sign -inkey key.pem -rawin -in message -out sig", &dir);
        Signature { keyid: "whoever".to_owned(), sig: fs::read(world.path("sig")).unwrap() }
    };
    envelope.push(signed(envelope.payload()));
    assert_eq!(envelope.signers([key]), 0, "the bare payload is not what is signed");
    envelope.push(signed(&envelope.pae()));
    assert_eq!(envelope.signers([key]), 1);
    assert_eq!(Envelope::parse(&envelope.to_bytes().unwrap()).unwrap().signers([key]), 1);
}
