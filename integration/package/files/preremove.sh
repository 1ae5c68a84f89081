#!/bin/sh
set -e
# Called with "upgrade" (deb) or 1 (rpm) where a new version follows.
case ${1-} in upgrade | 1) exit 0 ;; esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now countersign.service countersign.socket
fi
