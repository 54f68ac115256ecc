# Sourced by the scripts that run in machines with systemd. Each check prints one line. The script has fail, which takes the
# reason why a check failed.

# check NAME COMMAND…: the command succeeds; refute: it fails.
check() {
	local name=$1
	shift
	if out=$("$@" 2>&1); then echo "ok: $name"; else fail "$name: exit $?: $out"; fi
}
refute() {
	local name=$1
	shift
	if out=$("$@" 2>&1); then fail "$name: $out"; else echo "ok: $name"; fi
}
# is NAME WANT GOT: the same text; has NAME PATTERN TEXT: a line of the text matches.
is() { if [ "$2" = "$3" ]; then echo "ok: $1"; else fail "$1: got '$3', want '$2'"; fi; }
has() { if echo "$3" | grep -qE -- "$2"; then echo "ok: $1"; else fail "$1: nothing like '$2' in: $3"; fi; }
# within NAME COMMAND…: the command succeeds within some minutes.
within() {
	local name=$1 i=0
	shift
	until out=$("$@" 2>&1); do
		i=$((i + 1))
		if [ $i -gt 120 ]; then
			fail "$name, for long: $out"
			return
		fi
		sleep 1
	done
	echo "ok: $name"
}
# token OPTION…: the secret of a new token.
token() { stint token create "$@" --json | sed -n 's/.*"token": *"\([^"]*\)".*/\1/p'; }
