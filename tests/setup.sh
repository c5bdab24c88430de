#!/bin/sh
# Installs what the tests need beside Rust, and says so. Does nothing when it is all there.
set -eu

if /usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null; then
    echo "setup: python3-aiosmtpd is there"
    exit 0
fi
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
echo "setup: installing python3-aiosmtpd, the SMTP server that the mail tests talk to"
$as_root apt-get update -q
$as_root apt-get install -q -y --no-install-recommends python3-aiosmtpd
