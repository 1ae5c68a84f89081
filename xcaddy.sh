#!/bin/sh
# Builds Caddy with the modules of this repository, and runs it.
set -eu

usage() {
	cat <<'USAGE'
usage:
  ./xcaddy.sh run [Caddyfile]
      builds ./caddy and runs it in the foreground, by default with
      caddyfiles/quickstart.Caddyfile
  ./xcaddy.sh build [-o FILE] [--fast-rsa] [xcaddy arguments]
      builds ./caddy, or FILE. With --fast-rsa OpenSSL computes with private
      keys, in a third of the time (Linux only; needs a C compiler and OpenSSL's
      headers to build, and libcrypto.so.3 to run). Arguments such as --with
      MODULE, for more plugins, are for xcaddy, which must be on PATH then.
USAGE
}

say() {
	printf 'xcaddy.sh: %s\n' "$*" >&2
}

die() {
	say "$@"
	exit 1
}

misused() {
	say "$@"
	usage >&2
	exit 2
}

module=github.com/countersign/caddy-countersign
main=$module/module/cmd/caddy
# The tags of Caddy's own releases: they leave out databases of a certificate
# authority.
tags=nobadger,nomysql,nopgx
caller=$PWD
root=$(CDPATH='' cd -P -- "$(dirname -- "$0")" && pwd)

# from_caller prints a path that the caller gave as it is seen from anywhere.
from_caller() {
	case $1 in
	/*) printf '%s\n' "$1" ;;
	*) printf '%s/%s\n' "$caller" "$1" ;;
	esac
}

# quote prints a word so that a shell reads it back.
quote() {
	case $1 in
	*[!A-Za-z0-9_./:@%+=-]*) printf "'%s'\n" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")" ;;
	*) printf '%s\n' "$1" ;;
	esac
}

need_go() {
	command -v go >/dev/null || die "the go command is not on PATH; install Go from https://go.dev/dl/ (go.mod names the version)"
}

# use_fast_rsa sets the environment and the tags of the flavour in which the
# system's libcrypto computes with private keys.
use_fast_rsa() {
	system=$(go env GOOS)
	[ "$system" = linux ] || die "--fast-rsa exists on Linux only, this build is for $system; leave it out"
	compiler=$(go env CC)
	command -v "${compiler%% *}" >/dev/null ||
		die "--fast-rsa needs cgo, and the C compiler $compiler is not on PATH; install it (Debian: apt-get install gcc libc6-dev) or leave --fast-rsa out"
	# $compiler may hold arguments: it is not quoted.
	echo '#include <openssl/evp.h>' | $compiler -E - >/dev/null 2>&1 ||
		die "--fast-rsa needs the headers of OpenSSL 3, and $compiler does not find them; install them (Debian: apt-get install libssl-dev) or leave --fast-rsa out"
	export GOEXPERIMENT='' CGO_ENABLED=1
	tags=$tags,fastrsa
}

# use_plain sets the environment of the usual flavour: no C compiler has a say
# in what comes out.
use_plain() {
	export GOEXPERIMENT='' CGO_ENABLED=0
}

# build_pinned builds the main package of this module with the versions that
# go.sum pins. The flags leave out what differs between two machines: paths,
# the state of the checkout, build ids.
build_pinned() {
	(
		cd "$root"
		go build -mod=readonly -trimpath -buildvcs=false -ldflags='-s -w -buildid=' \
			-tags="$tags" -o "$1" ./module/cmd/caddy
	)
}

# build_with_xcaddy runs xcaddy with the arguments given, in the caller's
# directory, so that a relative path among them stays right. Caddy itself is
# the version of go.mod, unless the arguments or the environment name another.
build_with_xcaddy() {
	output=$1
	shift
	command -v xcaddy >/dev/null ||
		die "xcaddy is not on PATH, and these arguments are for it: $*
Install it with: go install github.com/caddyserver/xcaddy/cmd/xcaddy@latest"
	: "${CADDY_VERSION:=$(cd "$root" && go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)}"
	export CADDY_VERSION
	if [ -n "$fast_rsa" ]; then
		case ${XCADDY_GO_BUILD_FLAGS-} in
		'') XCADDY_GO_BUILD_FLAGS="-trimpath -ldflags='-s -w' -tags=$tags" ;;
		*fastrsa*) ;;
		*) die "XCADDY_GO_BUILD_FLAGS is set, and its -tags lack fastrsa; add it, or unset the variable" ;;
		esac
		export XCADDY_GO_BUILD_FLAGS
	fi
	xcaddy build "$@" --with "$module/module" --replace "$module=$root" --output "$output"
}

build() {
	output=$root/caddy
	fast_rsa=
	# Every argument is looked at once; those for xcaddy go to the end of
	# the list and so remain, in their order.
	left=$#
	while [ "$left" -gt 0 ]; do
		argument=$1
		shift
		left=$((left - 1))
		case $argument in
		-o | --output)
			[ "$left" -gt 0 ] || misused "$argument needs a file"
			output=$(from_caller "$1")
			shift
			left=$((left - 1))
			;;
		-o=* | --output=*) output=$(from_caller "${argument#*=}") ;;
		--fast-rsa) fast_rsa=yes ;;
		*) set -- "$@" "$argument" ;;
		esac
	done
	need_go
	[ -z "$fast_rsa" ] || use_fast_rsa
	if [ $# -gt 0 ]; then
		build_with_xcaddy "$output" "$@"
	else
		[ -n "$fast_rsa" ] || use_plain
		build_pinned "$output"
	fi
}

# refresh builds ./caddy unless it is up to date. A binary that `build` made in
# another flavour stays in it; one with more plugins stays as it is.
refresh() {
	if [ ! -x "$root/caddy" ]; then
		say "building ./caddy; the first time this takes some minutes"
		build
		return
	fi
	if ! command -v go >/dev/null; then
		say "no go command on PATH: running ./caddy as it is"
		return
	fi
	info=$(go version -m "$root/caddy" 2>/dev/null || true)
	case $info in
	*"path	$main"*fastrsa*) build --fast-rsa ;;
	*"path	$main"*) build ;;
	*) say "./caddy was built with other plugins: running it as it is; build it again to take up changes" ;;
	esac
}

# suggest prints the request to try, where the Caddyfile serves it by a sandbox.
suggest() {
	if grep -q '/easypay/' "$1" && grep -q 'countersign_sandbox easypay' "$1" && grep -q ':8080' "$1"; then
		printf 'Try it, from another terminal:\n\n%s %s %s\n\n' \
			"curl -sS -H 'Content-Type: application/json' --data-binary" \
			"$(quote "@$root/caddyfiles/samples/easypay.json")" \
			http://127.0.0.1:8080/easypay/ledger/mpos
	fi
}

run() {
	[ $# -le 1 ] || misused "run takes one Caddyfile"
	caddyfile=caddyfiles/quickstart.Caddyfile
	if [ $# -eq 1 ]; then
		caddyfile=$(from_caller "$1")
	fi
	cd "$root"
	[ -f "$caddyfile" ] || die "there is no Caddyfile $caddyfile"
	refresh
	suggest "$caddyfile"
	exec ./caddy run --config "$caddyfile" --adapter caddyfile
}

command=${1-}
[ $# -eq 0 ] || shift
case $command in
run) run "$@" ;;
build) build "$@" ;;
help | -h | --help) usage ;;
'') misused "a command is missing" ;;
*) misused "unknown command: $command" ;;
esac
