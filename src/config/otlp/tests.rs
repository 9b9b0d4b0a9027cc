use super::*;

/// What `written` means with these variables.
fn read(written: &str, set: &[(&str, &str)]) -> Result<Option<Otlp>, String> {
    let variables = |name: &str| {
        set.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned())
    };
    Otlp::read(written, None, &variables).map_err(|error| error.to_string())
}

fn on(written: &str, set: &[(&str, &str)]) -> Otlp {
    read(written, set).unwrap().unwrap()
}

#[test]
fn an_address_is_taken_apart() {
    for (url, host, port, path) in [
        ("http://127.0.0.1:4318", "127.0.0.1", 4318, "/v1/traces"),
        ("http://collector/", "collector", 80, "/v1/traces"),
        ("http://[::1]:4318/otlp/", "::1", 4318, "/otlp/v1/traces"),
        ("http://c:9/v1/traces", "c", 9, "/v1/traces"),
    ] {
        let otlp = on(url, &[]);
        assert_eq!((&*otlp.host, otlp.port, &*otlp.path), (host, port, path), "{url}");
        assert_eq!((&*otlp.written, otlp.timeout), (url, TIMEOUT));
    }
    for wrong in [
        "",
        "4318",
        "127.0.0.1:4318",
        "localhost",
        "/v1/traces",
        "http://",
        "http://:4318",
        "http://c:0",
        "http://c:x",
        "http://c:70000",
        "http://a@c:4318",
        "unix:/run/otlp.sock",
        "ftp://c",
        "http://c d",
    ] {
        let error = read(wrong, &[]).unwrap_err();
        assert!(error.contains("write the address of a collector"), "{wrong}: {error}");
    }
    let error = read("https://api.example.com:443", &[]).unwrap_err();
    assert!(error.starts_with("\"https://api.example.com:443\": flupd speaks no TLS"), "{error}");
}

#[test]
fn the_environment_names_the_collector_if_that_is_asked() {
    let place = |set: &[(&str, &str)]| {
        let Otlp { host, port, path, .. } = on("env", set);
        format!("{host} {port} {path}")
    };
    let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1/x");
    // This one is taken as it is.
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:2/y?z");
    assert_eq!(place(&[]), "localhost 4318 /v1/traces");
    assert_eq!(place(&[all]), "a 1 /x/v1/traces");
    assert_eq!(place(&[all, traces]), "b 2 /y?z");
    assert_eq!(place(&[all, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")]), "a 1 /x/v1/traces");
    let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    assert_eq!(place(&[all, http]), "a 1 /x/v1/traces");
    assert_eq!(on("http://c:3", &[all, traces]).host, "c");

    let error = read("env", &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap_err();
    let expected = "can't be used with OTEL_EXPORTER_OTLP_PROTOCOL=\"grpc\" in the environment: \
                    flupd speaks http/protobuf";
    assert_eq!(error, expected);
    assert!(read("env", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a")]).is_err());
}

#[test]
fn the_environment_can_switch_it_off() {
    for off in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_SDK_DISABLED", "TRUE"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ] {
        assert_eq!(read("http://c:1", &[off]), Ok(None), "{off:?}");
    }
    for on in [
        ("OTEL_SDK_DISABLED", "false"),
        ("OTEL_SDK_DISABLED", "1"),
        ("OTEL_TRACES_EXPORTER", "otlp"),
    ] {
        assert!(read("http://c:1", &[on]).unwrap().is_some(), "{on:?}");
    }
}

#[test]
fn samplers_have_their_usual_names() {
    let sampler = |kind: &str, argument: &str| {
        let set = [("OTEL_TRACES_SAMPLER", kind), ("OTEL_TRACES_SAMPLER_ARG", argument)];
        let Sampler { heeds_parent, share } = on("env", &set).sampler;
        (heeds_parent, share.0)
    };
    assert_eq!(sampler("", ""), (true, 1_000_000));
    assert_eq!(sampler("always_on", ""), (false, 1_000_000));
    assert_eq!(sampler("always_off", ""), (false, 0));
    assert_eq!(sampler("traceidratio", "0.25"), (false, 250_000));
    assert_eq!(sampler("parentbased_always_on", "0.25"), (true, 1_000_000));
    assert_eq!(sampler("parentbased_always_off", ""), (true, 0));
    assert_eq!(sampler("parentbased_traceidratio", "1e-3"), (true, 1000));
    assert_eq!(sampler("parentbased_traceidratio", ""), (true, 1_000_000));
    for (kind, argument) in [
        ("jaeger_remote", ""),
        ("always_On", ""),
        ("traceidratio", "2"),
        ("traceidratio", "x"),
        ("traceidratio", "nan"),
    ] {
        let set = [("OTEL_TRACES_SAMPLER", kind), ("OTEL_TRACES_SAMPLER_ARG", argument)];
        assert!(read("env", &set).is_err(), "{kind} {argument}");
    }
    // What is written goes before the environment.
    let set = |name: &str| (name == "OTEL_TRACES_SAMPLER").then(|| "always_off".to_owned());
    let otlp = Otlp::read("env", Some(Sample(100_000)), &set).unwrap().unwrap();
    assert_eq!(otlp.sampler, Sampler { heeds_parent: true, share: Sample(100_000) });
}

#[test]
fn resource_and_headers_are_lists_of_pairs() {
    let resource = |set: &[(&str, &str)]| {
        let all = on("env", set).resource;
        all.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
    };
    let attributes =
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=a%20b, service.name = shop ,x=");
    assert_eq!(resource(&[]), ["service.name=flupd"]);
    assert_eq!(resource(&[attributes]), ["deployment.environment=a b", "service.name=shop", "x="]);
    let named = ("OTEL_SERVICE_NAME", "front");
    assert_eq!(
        resource(&[attributes, named]),
        ["service.name=front", "deployment.environment=a b", "x="]
    );

    let all = ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=k%3D1,x=2");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(on("env", &[all]).headers, [pair("api-key", "k=1"), pair("x", "2")]);
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "y=3");
    assert_eq!(on("env", &[all, traces]).headers, [pair("y", "3")]);
    for secret in ["hush", "a b=hush", "=hush", "a=hush%0d%0aX: y"] {
        let error = read("env", &[("OTEL_EXPORTER_OTLP_HEADERS", secret)]).unwrap_err();
        assert!(!error.contains("hush") && error.contains("HEADERS"), "{error}");
    }
}

#[test]
fn a_collector_has_as_long_as_is_said() {
    let timeout = |name, text| on("env", &[(name, text)]).timeout.as_millis();
    assert_eq!(timeout("OTEL_EXPORTER_OTLP_TIMEOUT", "500"), 500);
    assert_eq!(timeout("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1"), 1);
    for wrong in ["0", "-1", "1s"] {
        assert!(read("env", &[("OTEL_EXPORTER_OTLP_TIMEOUT", wrong)]).is_err(), "{wrong}");
    }
}

#[test]
fn a_share_is_written_as_it_is_read() {
    for (text, share) in
        [("10%", 100_000), ("0%", 0), ("100%", 1_000_000), ("0.01%", 100), ("2.5%", 25_000)]
    {
        assert_eq!(Sample::parse(text), Ok(Sample(share)));
        assert_eq!(Sample(share).to_string(), text);
    }
    for wrong in ["10", "101%", "-1%", "%", "", "nan%", "inf%", "all"] {
        assert!(Sample::parse(wrong).is_err(), "{wrong}");
    }
}

/// As other samplers do: the last 64 bits, as a part of all that they can be.
#[test]
fn the_ids_of_traces_decide() {
    let trace = |low: u64| (u128::MAX << 64 | u128::from(low)).to_be_bytes();
    let half = Sample(500_000);
    assert!(half.holds(trace(0)) && half.holds(trace((1 << 63) - 1)));
    assert!(!half.holds(trace(1 << 63)) && !half.holds(trace(u64::MAX)));
    assert!(Sample::ALL.holds(trace(u64::MAX)) && !Sample(0).holds(trace(0)));
}
