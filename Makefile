# Every command of the project. `make help` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?= python3
CARGO ?= cargo
# What cargo shall build beside the rest: FEATURES=opentelemetry.
FEATURES ?=
VENV := target/venv
BENCH_VENV := target/bench-venv
FLUP_VENV := target/flup-venv

# Most tests mostly wait: so many of them at a time.
export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(nproc))))

# Debian package, and the file that shows that it is there.
TEST_PACKAGES := nginx:/usr/sbin/nginx lighttpd:/usr/sbin/lighttpd apache2-bin:/usr/sbin/apache2 haproxy:/usr/sbin/haproxy \
                 caddy:/usr/bin/caddy h2o:/usr/bin/h2o libapache2-mod-fcgid:/usr/lib/apache2/modules/mod_fcgid.so \
                 spawn-fcgi:/usr/bin/spawn-fcgi multiwatch:/usr/bin/multiwatch \
                 libapache2-mod-xsendfile:/usr/lib/apache2/modules/mod_xsendfile.so fcgiwrap:/usr/sbin/fcgiwrap \
                 lighttpd-mod-openssl:/usr/lib/lighttpd/mod_openssl.so openssl:/usr/bin/openssl \
                 gcc:/usr/bin/gcc curl:/usr/bin/curl logrotate:/usr/sbin/logrotate chromium:/usr/bin/chromium
DEMO_PACKAGES := nginx:/usr/sbin/nginx gcc:/usr/bin/gcc
# uWSGI and bjoern are compiled: they need Python's headers, and bjoern those of libev.
BENCH_PACKAGES = $(DEMO_PACKAGES) wrk:/usr/bin/wrk libev-dev:/usr/include/ev.h \
                 python3-dev:$(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h

.PHONY: help build demo test screenshot lint bench bench-readme bench-micro install wheel packages bench-packages demo-packages venv cargo

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

build: cargo ## build flupd and its worker library, optimised (FEATURES=opentelemetry: with spans)
	$(CARGO) build --release --workspace $(if $(FEATURES),--features $(FEATURES))

demo: demo-packages venv build ## Django and Flask behind nginx, until Ctrl-C (CHECK=1: stop after one look)
	$(PYTHON) demo/run.py --python $(VENV) $(if $(CHECK),--check)

test: packages venv $(FLUP_VENV)/.stamp cargo ## all tests, with the real web servers
	$(CARGO) build --workspace --features opentelemetry
	FLUPD_TARGET=target/debug $(FLUP_VENV)/bin/python -m pip wheel --quiet --disable-pip-version-check \
	  --no-build-isolation --no-deps --wheel-dir $(FLUP_VENV)/wheel .
	$(CARGO) test --workspace --features opentelemetry --no-fail-fast --quiet

screenshot: packages cargo ## docs/dashboard.png, by the browser of the tests; takes two minutes
	$(CARGO) build --workspace --features opentelemetry
	$(CARGO) test --features opentelemetry --test integration -- --ignored --exact dashboard::picture::picture

lint: cargo ## format, clippy and documentation, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	$(CARGO) clippy --workspace --all-targets --features opentelemetry --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet

bench: bench-packages $(BENCH_VENV)/.stamp build ## flupd beside its peers behind nginx, into target/bench (QUICK=1: < 3 minutes; ONLY=flask,upload)
	$(PYTHON) benches/main.py --venv $(BENCH_VENV) $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

bench-readme: ## the README's table from the last `make bench`
	@$(PYTHON) benches/main.py --readme

bench-micro: cargo ## micro-benchmarks: the codecs, the WSGI call alone, and the instructions of a request
	@tests/packages.sh $(PYTHON) gcc:/usr/bin/gcc valgrind:/usr/bin/valgrind
	$(CARGO) build --release --workspace
	PYTHON=$(PYTHON) $(CARGO) bench --bench codecs --bench wsgi_call
	$(PYTHON) benches/instructions.py

install: build ## put flupd under PREFIX (/usr/local; FEATURES as for build)
	install -D -m 755 target/release/flupd $(DESTDIR)$(PREFIX)/bin/flupd
	install -D -m 644 target/release/libflupd_worker.so $(DESTDIR)$(PREFIX)/lib/flupd/libflupd_worker.so
	install -D -m 644 target/release/libflupd_solo.so $(DESTDIR)$(PREFIX)/lib/flupd/libflupd_solo.so

wheel: cargo ## a wheel of flup on flupd, with flupd in it, into target/wheels
	$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir target/wheels .
	@ls target/wheels/flup-*.whl

packages: ## install the Debian packages that the tests need, if any is missing
	@tests/packages.sh $(PYTHON) $(TEST_PACKAGES)

demo-packages:
	@tests/packages.sh $(PYTHON) $(DEMO_PACKAGES)

bench-packages:
	@tests/packages.sh $(PYTHON) $(BENCH_PACKAGES)

venv: $(VENV)/.stamp ## Django and Flask in target/venv

$(VENV)/.stamp: tests/requirements.txt
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

# What was written for flup, and with pip what makes the wheel.
$(FLUP_VENV)/.stamp: tests/flup/requirements.txt
	rm -rf $(FLUP_VENV)
	$(PYTHON) -m venv $(FLUP_VENV)
	$(FLUP_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

$(BENCH_VENV)/.stamp: benches/requirements.txt tests/requirements.txt
	rm -rf $(BENCH_VENV)
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r benches/requirements.txt
	touch $@

cargo:
	@command -v $(CARGO) >/dev/null || { \
	  echo "make: cargo is missing. Install Rust $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or later from https://rustup.rs:"; \
	  echo "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"; exit 1; } >&2
