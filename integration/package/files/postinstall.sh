#!/bin/sh
set -e
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers countersign.conf
elif ! getent passwd countersign >/dev/null; then
	useradd --system --user-group --no-create-home --home-dir / --shell /usr/sbin/nologin countersign
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	# An update takes effect at once; a first installation is not started: it
	# has no provider yet.
	systemctl try-restart countersign.service
fi
