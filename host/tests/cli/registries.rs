//! Bundles in a real OCI registry: pushed, seen by other tools, pulled again byte for byte, and refused where somebody
//! changed them or they are none.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::home::{Home, Said};
use crate::registry_server::{Liar, RegistryServer, Sent};

/// A home with a bundle and a registry with that under `skills/echo:1`.
struct Setting {
    home: Home,
    registry: RegistryServer,
    bundle: PathBuf,
    pinned: String,
}

impl Setting {
    fn new() -> Self {
        let (home, registry) = (Home::initialised(), RegistryServer::new());
        let bundle = home.install_skill("echo");
        let place = registry.place("skills/echo:1");
        let pushed = home.run(&["bundle", "push", bundle.to_str().unwrap(), &place, "--json"]);
        assert_eq!(pushed.code, 0, "{}{}", pushed.out, pushed.err);
        let pinned = pushed.json()["pinned"].as_str().unwrap().to_owned();
        Self {
            home,
            registry,
            bundle,
            pinned,
        }
    }

    fn pull(&self, place: &str) -> Said {
        self.home.run(&["bundle", "pull", place, "--out", "pulled.venom"])
    }

    fn pulled(&self) -> PathBuf {
        self.home.path().with_file_name("pulled.venom")
    }

    /// What is told, without what differs from run to run.
    fn tidy(&self, text: &str) -> String {
        self.home.tidy(text).replace(&self.registry.address(), "[registry]")
    }

    fn manifest(&self) -> Value {
        self.registry.manifest("skills/echo", "1")
    }
}

#[test]
fn what_is_pulled_is_what_was_pushed() {
    let setting = Setting::new();
    let file = std::fs::read(&setting.bundle).unwrap();
    for place in [setting.registry.place("skills/echo:1"), setting.pinned.clone()] {
        let said = setting.pull(&place);
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(said.err.contains("not verified"), "{}", said.err);
        assert_eq!(std::fs::read(setting.pulled()).unwrap(), file);
        std::fs::remove_file(setting.pulled()).unwrap();
    }
    // The same bundle is the same artifact, whoever pushes it.
    let again = setting.registry.place("mirror/echo");
    let bundle = setting.bundle.to_str().unwrap();
    let again = setting.home.run(&["bundle", "push", bundle, &again, "--json"]).json();
    assert_eq!(again["location"], setting.registry.place("mirror/echo:latest"));
    let digest = |pinned: &str| pinned.split_once('@').unwrap().1.to_owned();
    assert_eq!(digest(again["pinned"].as_str().unwrap()), digest(&setting.pinned));
    // The default name is the skill's.
    let pulled = setting.home.run(&["bundle", "pull", &setting.pinned, "--json"]).json();
    assert_eq!(
        (&pulled["path"], &pulled["verified"]),
        (&json!("EchoSkill.venom"), &json!(false))
    );
}

#[test]
fn other_tools_see_a_plain_component() {
    let setting = Setting::new();
    let manifest = setting.manifest();
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    // wkg refuses an artifact with more than one layer.
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1, "{manifest}");
    assert_eq!(layers[0]["mediaType"], "application/wasm");
    assert_eq!(
        layers[0]["annotations"]["org.opencontainers.image.title"],
        "EchoSkill.wasm"
    );
    let component = std::fs::read(setting.registry.blob(layers[0]["digest"].as_str().unwrap())).unwrap();
    assert_eq!(component[..8], *b"\0asm\x0d\0\x01\0", "a component, as it is");
    let config = std::fs::read(setting.registry.blob(manifest["config"]["digest"].as_str().unwrap())).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(
        (&config["architecture"], &config["os"], &config["layerDigests"][0]),
        (&json!("wasm"), &json!("wasip2"), &layers[0]["digest"])
    );
    assert!(
        config["component"]["exports"].to_string().contains("venom:skill/"),
        "{config}"
    );
    let annotations = &manifest["annotations"];
    for (key, value) in [("title", "EchoSkill"), ("version", env!("CARGO_PKG_VERSION"))] {
        assert_eq!(annotations[format!("org.opencontainers.image.{key}")], value);
    }
    for key in ["description", "created"] {
        assert!(
            annotations[format!("org.opencontainers.image.{key}")].is_string(),
            "{annotations}"
        );
    }
}

#[test]
fn what_somebody_changed_in_the_registry_is_refused() {
    let setting = Setting::new();
    let digest = setting.manifest()["layers"][0]["digest"].as_str().unwrap().to_owned();
    let blob = setting.registry.blob(&digest);
    let whole = std::fs::read(&blob).unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        std::fs::write(&blob, bytes).unwrap();
        let said = setting.pull(&setting.pinned);
        assert_eq!(said.code, 1, "{name}");
        assert!(!setting.pulled().exists(), "{name}: nothing is written");
        said.err
    };
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let told = refused("one bit", &flipped);
    assert!(told.contains("do not use it"), "{told}");
    refused("cut short", &whole[..whole.len() - 1]);
    let told = refused("more", &[whole.as_slice(), b"!"].concat());
    assert!(told.contains("more than the"), "{told}");
    std::fs::write(&blob, &whole).unwrap();
    setting.pull(&setting.pinned).fine();

    // A registry that answers with another manifest than the digest that was asked for.
    let manifest = setting.registry.blob(setting.pinned.split_once('@').unwrap().1);
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replacen("EchoSkill", "EvilSkill", 1)).unwrap();
    let told = setting.pull(&setting.pinned).failure();
    assert!(told.contains("cannot pull"), "{told}");
}

#[test]
fn an_envelope_of_another_bundle_is_not_joined_unseen() {
    let setting = Setting::new();
    let mut manifest = setting.manifest();
    let component = setting
        .registry
        .put_blob("skills/echo", "application/wasm", b"\0asm something else");
    manifest["layers"] = json!([component]);
    setting.registry.put_manifest("skills/echo", "mixed", &manifest);
    let said = setting.pull(&setting.registry.place("skills/echo:mixed"));
    assert_eq!(said.code, 1);
    assert!(said.err.contains("do not make the file"), "{}", said.err);
    // Without the digest of the whole it comes as it is, and does not verify.
    let annotations = manifest["annotations"].as_object_mut().unwrap();
    annotations.remove("vnd.venom.bundle.file.sha256").unwrap();
    setting.registry.put_manifest("skills/echo", "mixed", &manifest);
    setting.pull(&setting.registry.place("skills/echo:mixed")).fine();
    let verified = setting.home.run(&["bundle", "verify", "pulled.venom"]);
    assert_eq!(verified.code, 1, "{}", verified.out);
}

#[test]
fn a_registry_that_lies_or_never_ends_is_refused() {
    let setting = Setting::new();
    let manifest = setting.manifest().to_string();
    let pinned = setting.pinned.split_once('@').unwrap().1;
    let refused = |wanted: &str, manifest: Sent, blob: Sent| {
        let liar = Liar::with(manifest, blob);
        let said = setting.pull(&format!("oci://{}/skills/echo{wanted}", liar.address));
        assert_eq!(said.code, 1, "{}", said.out);
        assert!(!setting.pulled().exists(), "nothing is written");
        said.err
    };
    let whole = |text: &str| Sent::Whole(text.as_bytes().to_vec());
    let told = refused(
        &format!("@{pinned}"),
        whole(&manifest.replace("EchoSkill", "EvilSkill")),
        Sent::Endless,
    );
    assert!(
        told.contains("Invalid digest") && told.contains("do not use it"),
        "{told}"
    );
    let told = refused(":1", Sent::Endless, Sent::Endless);
    assert!(told.contains("its manifest has more than"), "{told}");
    let told = refused(":1", whole(&manifest), Sent::Endless);
    assert!(told.contains("sends more than the"), "{told}");
    let told = refused(":1", whole(&manifest), whole("something else"));
    assert!(told.contains("Invalid digest"), "{told}");
    let told = refused(":1", whole("{\"schemaVersion\": 2}"), Sent::Endless);
    assert!(told.contains("its manifest cannot be read"), "{told}");
}

#[test]
fn what_is_no_bundle_is_refused_and_says_what_it_lacks() {
    let setting = Setting::new();
    let registry = &setting.registry;
    let image = "application/vnd.oci.image.manifest.v1+json";
    let component = registry.put_blob("others", "application/wasm", b"\0asm\x0d\0\x01\0");
    let config = registry.put_blob("others", "application/vnd.wasm.config.v0+json", b"{}");
    let container = registry.put_blob("others", "application/vnd.oci.image.config.v1+json", b"{}");
    let layer = registry.put_blob("others", "application/vnd.oci.image.layer.v1.tar+gzip", b"layer");
    let put = |tag: &str, config: &Value, layers: &[&Value]| {
        let manifest = json!({ "schemaVersion": 2, "mediaType": image, "config": config, "layers": layers });
        registry.put_manifest("others", tag, &manifest);
    };
    put("wkg", &config, &[&component]);
    put("container", &container, &[&layer]);
    put("layers", &config, &[&component, &component]);
    put("layer", &config, &[&layer]);
    let plain = registry.ask("GET", "/v2/others/manifests/wkg", "", b"").body;
    let mut entry = json!({ "mediaType": image, "digest": format!("sha256:{}", venom_bundle::Digest::of(&plain)), "size": plain.len() });
    entry["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    let index =
        json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry] });
    registry.put_manifest("others", "index", &index);
    // Announces more than any component may have.
    let mut huge = setting.manifest();
    huge["layers"][0]["size"] = json!(1_u64 << 40);
    registry.put_manifest("skills/echo", "huge", &huge);
    let mut told = String::new();
    for place in [
        "others:wkg",
        "others:container",
        "others:layers",
        "others:layer",
        "others:index",
        "skills/echo:huge",
        "others:nothing",
        "nobody/knows:it",
    ] {
        let said = setting.pull(&registry.place(place));
        assert_eq!(said.code, 1, "{place}");
        told.push_str(&setting.tidy(&said.failure()));
    }
    insta::assert_snapshot!("no_bundle", told);
}

#[test]
fn a_registry_with_users_lets_in_who_says_who_he_is() {
    let (home, registry) = (Home::initialised(), RegistryServer::with_users());
    let bundle = home.install_skill("echo").display().to_string();
    let place = registry.place("skills/echo:1");
    let nobody = home.path().join("nobody").display().to_string();
    let push = ["bundle", "push", &bundle, &place];
    let pull = ["bundle", "pull", &place];
    let with = |args: &[&str], environment: &[(&str, &str)]| {
        let mut command = home.command(args);
        command.env("DOCKER_CONFIG", &nobody).envs(environment.iter().copied());
        command.output().unwrap()
    };
    let right = [
        ("VENOM_REGISTRY_USERNAME", "ada"),
        ("VENOM_REGISTRY_PASSWORD", "s3cret"),
    ];
    let wrong = [("VENOM_REGISTRY_USERNAME", "ada"), ("VENOM_REGISTRY_PASSWORD", "guess")];
    let mut told = String::new();
    for environment in [&[][..], &wrong] {
        for args in [&push[..], &pull] {
            let output = with(args, environment);
            assert_eq!(output.status.code(), Some(1));
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(!text.contains("guess"), "{text}");
            told.push_str(&home.tidy(&text).replace(&registry.address(), "[registry]"));
        }
    }
    insta::assert_snapshot!("not_let_in", told);
    assert!(with(&push, &right).status.success());
    assert!(with(&pull, &right).status.success());

    // As `docker login` leaves it; and typed in, which comes before that.
    let login = |password: &str| {
        use base64::Engine as _;
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("ada:{password}"));
        home.write(
            "docker/config.json",
            &json!({ "auths": { registry.address(): { "auth": auth } } }).to_string(),
        );
    };
    std::fs::create_dir_all(home.path().join("docker")).unwrap();
    let docker = home.path().join("docker").display().to_string();
    let docker = [("DOCKER_CONFIG", &*docker)];
    login("s3cret");
    assert!(with(&pull, &docker).status.success());
    login("old");
    assert_eq!(with(&pull, &docker).status.code(), Some(1));
    let typed = [&pull[..], &["--username", "ada", "--password-stdin"]].concat();
    home.run_with_stdin(&typed, "s3cret\n").fine();
    let said = home.run_with_stdin(&typed, "\n");
    assert_eq!((said.code, said.err.contains("it is empty")), (2, true), "{}", said.err);
    let half = home.run(&["bundle", "pull", &place, "--username", "ada"]);
    assert_eq!(half.code, 2, "{}", half.err);
}

#[test]
fn a_nexus_and_a_release_take_bundles_of_a_registry() {
    let setting = Setting::new();
    let home = &setting.home;
    let nexus = home.start(&["nexus", "--port", "0", "--local-fallback", "off"], "nexus ready ");
    let url = ["--nexus", &nexus.ready];
    let published = home.run(&[&["bundle", "publish", &setting.pinned, "--json"], &url[..]].concat());
    assert_eq!(published.code, 0, "{}", published.err);
    assert_eq!(published.json()["bundles"][0]["name"], "EchoSkill");
    let add = ["release", "create", "--add", &setting.pinned, "--sign"];
    home.run(&[&add, &url[..]].concat()).fine();
    home.run(&[&["release", "publish", "release.json"], &url[..]].concat())
        .fine();
    let dry = ["release", "publish", "--bundle", &setting.pinned, "--dry-run", "--json"];
    let dry = home.run(&[&dry, &url[..]].concat());
    assert_eq!(dry.code, 0, "{}", dry.err);

    // What the registry vouches for is nothing: a stranger's bundle is refused by the nexus.
    let stranger = Home::initialised();
    let theirs = stranger.install_skill("echo").display().to_string();
    let place = setting.registry.place("strangers/echo");
    stranger.run(&["bundle", "push", &theirs, &place]).fine();
    let refused = home.run(&[&["bundle", "publish", &place], &url[..]].concat());
    assert_eq!(refused.code, 1, "{}", refused.out);
    let absent = setting.registry.place("skills/nothing");
    assert_eq!(home.run(&[&["bundle", "publish", &absent], &url[..]].concat()).code, 1);
    assert_eq!(
        home.run(&[&["bundle", "publish", "oci://nothing"], &url[..]].concat())
            .code,
        2
    );
}

#[test]
fn a_registry_with_a_certificate_of_ones_own_is_asked_over_tls() {
    let (home, registry) = (Home::initialised(), RegistryServer::with_tls());
    let bundle = home.install_skill("echo").display().to_string();
    let place = registry.place("skills/echo:1");
    let certificate = registry.certificate().display().to_string();
    home.run(&["bundle", "push", &bundle, &place, "--registry-ca", &certificate])
        .fine();
    home.run(&["bundle", "pull", &place, "--registry-ca", &certificate])
        .fine();
    assert_eq!(
        std::fs::read(home.path().with_file_name("EchoSkill.venom")).unwrap(),
        std::fs::read(&bundle).unwrap()
    );
    // Somebody else's certificate vouches for nothing.
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    home.write_beside("other.pem", &other.cert.pem());
    let said = home.run(&["bundle", "pull", &place, "--registry-ca", "other.pem"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("certificate"), "{}", said.err);
    // Without one, a registry on this machine is asked without TLS, which this one does not take.
    assert_eq!(home.run(&["bundle", "pull", &place]).code, 1);
}

#[test]
fn registries_elsewhere_are_asked_over_tls() {
    let home = Home::initialised();
    let bundle = home.install_skill("echo").display().to_string();
    let said = home.run(&["bundle", "push", &bundle, "oci://registry.invalid/a"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("--plain-http"), "{}", said.err);
    let said = home.run(&["bundle", "push", &bundle, "oci://registry.invalid/a", "--plain-http"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("without TLS"), "{}", said.err);
}

#[test]
fn a_place_that_cannot_be_is_wrong_use() {
    let setting = Setting::new();
    let bundle = setting.bundle.to_str().unwrap();
    let mut told = String::new();
    for args in [
        ["push", bundle, "oci://greeter"],
        ["push", bundle, &setting.pinned],
        ["push", bundle, "ghcr.io/acme/greeter"],
    ] {
        let said = setting.home.run(&[&["bundle"], &args[..]].concat());
        assert_eq!(said.code, 2, "{args:?}");
        told.push_str(
            &setting
                .tidy(&said.failure())
                .replace(setting.pinned.split_once('@').unwrap().1, "[digest]"),
        );
    }
    insta::assert_snapshot!("wrong_place", told);
    let said = setting
        .home
        .run(&["bundle", "push", "Cargo.toml", &setting.registry.place("a")]);
    assert_eq!(said.code, 1);
}
