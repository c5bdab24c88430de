#!/bin/sh
# Installs what the tests need beside Rust, and says so. Does nothing when it is all there.
set -eu
cd "$(dirname "$0")"

as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"

install_packages() {
    $as_root apt-get update -q
    $as_root apt-get install -q -y --no-install-recommends "$@"
}

mail_server() {
    if /usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null; then
        echo "setup: python3-aiosmtpd is there"
        return
    fi
    echo "setup: installing python3-aiosmtpd, the SMTP server that the mail tests talk to"
    install_packages python3-aiosmtpd
}

# The tests start a cluster of their own, in a temporary folder; the package's service is not used.
postgresql() {
    if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
        echo "setup: PostgreSQL is there"
        return
    fi
    # A cluster of the system would be made and started with the package.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        $as_root mkdir -p /etc/postgresql-common
        echo "create_main_cluster = false" | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    echo "setup: installing PostgreSQL, the database that replicas share"
    install_packages postgresql
}

# What cuts replicas off from their database, in a network of the test's own, and what sets their clocks wrong.
faults() {
    if command -v nft >/dev/null && command -v ip >/dev/null && ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1; then
        echo "setup: nft, ip and libfaketime are there"
        return
    fi
    echo "setup: installing nftables, iproute2 and libfaketime, by which replicas are cut off and their clocks are wrong"
    install_packages nftables iproute2 libfaketime
}

# systemd-analyze, which reads the service's unit as systemd does. Nothing of systemd is started.
service_manager() {
    if command -v systemd-analyze >/dev/null; then
        echo "setup: systemd-analyze is there"
        return
    fi
    echo "setup: installing systemd, whose systemd-analyze reads the service's unit"
    install_packages systemd
}

# A virtual environment with Apache Airflow, for the tests that watch one at work: 133 packages, about 80 MB to fetch and
# 330 MB on disk. It is kept outside of target/, so that it is made once for a list of versions, and it is made in the
# background: the test waits for it, and nothing else does.
airflow() {
    versions="$PWD/data/airflow/requirements.txt"
    digest=$(sha256sum "$versions" | cut -c1-12)
    home="${NIGHTBELL_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/nightbell}/airflow-$digest"
    if [ -e "$home/ready" ]; then
        echo "setup: Apache Airflow is there ($home)"
        return
    fi
    mkdir -p "$home"
    echo "setup: installing Apache Airflow in the background: 330 MB in $home, see $home/log"
    nohup sh -c '
        # One at a time; whoever comes second finds it done.
        exec 9>"$0/lock"
        flock 9
        [ -e "$0/ready" ] && exit 0
        rm -rf "$0/failed" "$0/venv"
        { python3 -m venv "$0/venv" && "$0/venv/bin/pip" install --no-input -q -r "$1"; } && touch "$0/ready" || touch "$0/failed"
    ' "$home" "$versions" >"$home/log" 2>&1 </dev/null &
}

# The browser that clicks through the pages, what drives it, and what looks for barriers in them.
browser() {
    if command -v "${CHROMIUM:-chromium}" >/dev/null; then
        echo "setup: a browser is there"
    else
        echo "setup: installing chromium and fonts with Chinese letters: the browser that clicks through the pages"
        install_packages chromium fonts-noto-cjk
    fi
    # Node.js from elsewhere than Debian has npm with it, and lets Debian's package of npm in nowhere.
    if command -v npm >/dev/null; then
        echo "setup: npm is there"
    else
        echo "setup: installing npm, by which what drives the browser is fetched"
        install_packages nodejs npm
    fi
    modules="$PWD/../target/browser"
    if [ -d "$modules/node_modules/playwright-core" ] && [ -d "$modules/node_modules/axe-core" ]; then
        echo "setup: playwright-core and axe-core are there"
    else
        echo "setup: installing playwright-core, which drives the browser, and axe-core, which looks for barriers"
        npm install --silent --no-audit --no-fund --prefix "$modules" playwright-core@1.65.1 axe-core@4.14.1
    fi
}

# promtool, which reads the alert rules as Prometheus does: one program out of Debian's package, which is not installed.
promtool() {
    home="$PWD/../target/promtool"
    if [ -x "$home/promtool" ]; then
        echo "setup: promtool is there"
        return
    fi
    echo "setup: fetching promtool out of Debian's package of Prometheus: 19 MB"
    rm -rf "$home"
    mkdir -p "$home"
    (cd "$home" && { apt-get download -q prometheus || { $as_root apt-get update -q && apt-get download -q prometheus; }; })
    dpkg-deb --fsys-tarfile "$home"/prometheus_*.deb | tar -x -C "$home" --strip-components=3 ./usr/bin/promtool
    rm "$home"/prometheus_*.deb
}

# Schemathesis, which asks the API whatever its description allows and more: 95 MB in an environment of its own.
schemathesis() {
    home="$PWD/../target/schemathesis"
    if [ -x "$home/bin/schemathesis" ]; then
        echo "setup: schemathesis is there"
        return
    fi
    echo "setup: installing schemathesis, which asks the API whatever its description allows: 95 MB in target/"
    rm -rf "$home"
    python3 -m venv "$home"
    "$home/bin/pip" install --no-input -q "schemathesis==4.32.5"
}

# s3rver, a server that speaks S3: ends of logs are read from it.
object_storage() {
    modules="$PWD/../target/s3"
    if [ -d "$modules/node_modules/s3rver" ]; then
        echo "setup: s3rver is there"
    else
        echo "setup: installing s3rver, a server that speaks S3: 14 MB in target/"
        npm install --silent --no-audit --no-fund --prefix "$modules" s3rver@3.7.1
    fi
}

# The sqlite3 by which the documents have a store backed up.
backup() {
    if command -v sqlite3 >/dev/null; then
        echo "setup: sqlite3 is there"
        return
    fi
    echo "setup: installing sqlite3, by which the documents have a store backed up"
    install_packages sqlite3
}

mail_server
backup
postgresql
faults
service_manager
airflow
browser
object_storage
promtool
schemathesis
