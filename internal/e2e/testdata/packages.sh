#!/bin/sh
# Runs in a Debian machine whose first process is systemd: installs the packages in /dist, starts what they have, upgrades them
# under running jobs, removes and purges them. Two certificates are in /src.
exec >/dev/console 2>&1
export PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin HOME=/root DEBIAN_FRONTEND=noninteractive TERM=dumb
# They say whose a connection is, so that root needs no token.
for module in inet_diag tcp_diag; do busybox insmod "/src/modules/$module.ko"; done

fail() {
	echo "FAILED: $*"
	journalctl -q -o cat -n 40
	stint queue
	stint runs
	systemctl poweroff -ff
	exit 1
}
. /src/checks.sh
property() { systemctl show -P "$1" "${2:-stint-server}"; }
drop_in() { mkdir -p "/etc/systemd/system/$1.d" && printf "$2" >"/etc/systemd/system/$1.d/override.conf"; } # as systemctl edit
agents() { pgrep -f '^/?[a-z/]*stint-agent (attempt|run) ' | sort | tr '\n' ' '; }

echo "--- install"
out=$(apt-get install -y --no-install-recommends /dist/stint_0.0.1-1_amd64.deb 2>&1) || fail "apt-get: $out"
has "it says how a server is started" "^stint: to run a server on this host: systemctl enable --now stint-server" "$out"
is "and nothing else" 1 "$(echo "$out" | grep -c '^stint: ')"
is "nothing is started" inactive "$(property ActiveState)"
is "nothing is enabled" disabled "$(property UnitFileState)"
check "man stint-run" sh -c 'man -P cat stint-run | grep -q -- --timeout'
for unit in stint-server.service stint-worker.service stint-flush@root.service stint-job@x.service; do
	page=$(property Documentation "$unit" | sed 's/.*man:\([^(]*\)(1).*/\1/')
	check "the documentation of $unit, $page" man -w 1 "$page"
done
check "completion" bash -c '. /usr/share/bash-completion/completions/stint && complete -p stint'

echo "--- the server"
check "start it" systemctl enable --now stint-server
is "it notified that it is ready" "active running notify" "$(property ActiveState) $(property SubState) $(property Type)"
is "as the user stint" stint "$(stat -c %U "/proc/$(property MainPID)")"
has "it is healthy" "^http://127.0.0.1:7846 is ready, version v0.0.1" "$(stint health)"
check "root needs no token" stint runs
mkdir -p /etc/stint/tls
renew() {
	install -o root -g stint -m 0640 "/src/$1-key.pem" /etc/stint/tls/key.pem
	install -o root -g stint -m 0644 "/src/$1.pem" /etc/stint/tls/cert.pem
}
renew one
cat >>/etc/stint/server.env <<-END
	STINT_LISTEN=:7846
	STINT_TLS_CERT=/etc/stint/tls/cert.pem
	STINT_TLS_KEY=/etc/stint/tls/key.pem
	# edited by the administrator
END
check "restart it with TLS" systemctl restart stint-server
export STINT_SERVER=https://127.0.0.1:7846
check "its key is readable" stint health --tls-ca /src/one.pem
is "the first token is in a file of its own" "600 stint" "$(stat -c '%a %U' /var/lib/stint-server/admin.token)"
refute "and not in the log" sh -c "journalctl -q -o cat | grep -F \"$(cat /var/lib/stint-server/admin.token)\""
pid=$(property MainPID)
renew two
within "the renewed certificate is taken" stint health --tls-ca /src/two.pem
is "without a restart" "$pid 0" "$(property MainPID) $(property NRestarts)"
export STINT_TLS_CA=/src/two.pem
STINT_TOKEN=$(cat /var/lib/stint-server/admin.token)
export STINT_TOKEN
check "it is valid" stint runs
check "stop the server" systemctl stop stint-server
is "it ended cleanly" "success 0 inactive" "$(property Result) $(property ExecMainStatus) $(property ActiveState)"
agent=$(token --data /var/lib/stint-server --name hosts --scope agent)
has "a token is made without the server" '^stint_' "$agent"
check "the server starts again" systemctl start stint-server
is "all data is its own" "" "$(find /var/lib/stint-server ! -user stint)"

echo "--- jobs of systemd"
printf 'STINT_SERVER=%s\nSTINT_TOKEN=%s\nSTINT_TLS_CA=%s\n# edited by the administrator\n' "$STINT_SERVER" "$agent" "$STINT_TLS_CA" >>/etc/stint/agent.env
printf '#!/bin/sh\necho tick\nsleep 5\n' >/etc/stint/jobs/tick
cat >/etc/stint/jobs/long <<-'END'
	#!/bin/sh
	trap 'echo stopped in order; exit 3' TERM
	while [ ! -e /run/go ]; do sleep 1; done
END
chmod 0755 /etc/stint/jobs/*
drop_in stint-job@tick.timer '[Timer]\nOnCalendar=\nOnCalendar=*:*:0/30\n'
check "daemon-reload" systemctl daemon-reload
check "enable a timer" systemctl enable --now stint-job@tick.timer
ran() { stint runs --job tick --state succeeded | grep -q tick#; }
within "the timer starts the job, and its run is in the server" ran
check "stop the timer" systemctl disable --now stint-job@tick.timer
check "a job that goes on" systemctl start --no-block stint-job@long
running() { stint runs --state running --job "$1" | grep -q "$1#"; }
within "it runs" running long

echo "--- a worker"
token --name worker --scope worker --worker machine >/etc/stint/worker.token
has "its token" '^stint_' "$(cat /etc/stint/worker.token)"
printf 'STINT_SERVER=%s\nSTINT_TLS_CA=%s\nSTINT_ALLOW_COMMANDS=1\n' "$STINT_SERVER" "$STINT_TLS_CA" >/etc/stint/worker.env
check "start it" systemctl enable --now stint-worker
check "a run for it" stint submit --job queued -- sh -c 'while [ ! -e /run/go ]; do sleep 1; done; exit 5'
within "it runs" running queued

echo "--- upgrade"
before=$(agents)
is "two agents" 2 "$(echo "$before" | wc -w)"
server=$(property MainPID) worker=$(property MainPID stint-worker)
out=$(dpkg -i /dist/stint_0.0.2-1_amd64.deb 2>&1) || fail "dpkg: $out"
is "it says nothing" 0 "$(echo "$out" | grep -c '^stint: ')"
within "the server has the new version" sh -c 'stint health | grep -q "version v0.0.2"'
if [ "$server" = "$(property MainPID)" ]; then fail "the server was not restarted"; fi
if [ "$worker" = "$(property MainPID stint-worker)" ]; then fail "the worker was not restarted"; fi
is "the same agents work" "$before" "$(agents)"
is "both jobs go on" "activating active" "$(property ActiveState stint-job@long) $(property ActiveState stint-worker)"
running long && running queued || fail "a job does not run any more"
check "the configuration is kept" grep -q "edited by the administrator" /etc/stint/server.env
check "that of agents too" grep -q "edited by the administrator" /etc/stint/agent.env

echo "--- stop"
check "stop the job" systemctl stop stint-job@long
has "it ended in order" "^stopped in order$" "$(stint logs long#1)"
is "with its own code" "exit-code 3" "$(property Result stint-job@long) $(property ExecMainStatus stint-job@long)"
touch /run/go
timeout 120 stint wait queued#1 >/dev/null 2>&1
is "the worker's job ended with its code" 5 $?
begun=$(date +%s)
check "stop the server" systemctl stop stint-server
is "it ended cleanly" "success 0 inactive" "$(property Result) $(property ExecMainStatus) $(property ActiveState)"
if [ $(($(date +%s) - begun)) -gt 30 ]; then fail "it took $(($(date +%s) - begun)) s"; fi
echo STINT_FLUSH_TIMEOUT=1s >/etc/stint/jobs/tick.env
check "a job without a server" systemctl start stint-job@tick
check "start the server" systemctl start stint-server
runs=$(stint runs --job tick | grep -c tick#)
drop_in stint-flush@root.timer '[Timer]\nOnBootSec=\nOnActiveSec=2s\nRandomizedDelaySec=0\nAccuracySec=1s\n'
check "daemon-reload" systemctl daemon-reload
check "the timer of flush" systemctl enable --now stint-flush@root.timer
arrived() { [ "$(stint runs --job tick | grep -c tick#)" -gt "$runs" ]; }
within "it delivers the journal" arrived
echo STINT_KEEP_DAYS=many >>/etc/stint/server.env
refute "a wrong option is an error" systemctl restart stint-server
named() { systemctl status --no-pager -l stint-server | grep -q 'STINT_KEEP_DAYS: "many"'; }
within "which systemctl status names" named
sed -i /KEEP_DAYS/d /etc/stint/server.env
within "the server starts once it is gone" stint health

echo "--- remove, install again, purge"
check "remove" apt-get remove -y stint
for unit in stint-server.service stint-worker.service stint-flush@root.timer; do
	is "$unit is stopped" inactive "$(property ActiveState "$unit")"
done
is "no process is left" "" "$(pgrep -fl '[s]tint-agent|[s]tint server')"
is "nothing is enabled" "" "$(find /etc/systemd/system -name 'stint-*' -path '*.wants/*')"
check "configuration, data, and programs of jobs stay" ls /etc/stint/server.env /etc/stint/agent.env /etc/stint/jobs/tick /var/lib/stint-server/stint.db /var/lib/stint
check "install again" apt-get install -y --no-install-recommends /dist/stint_0.0.2-1_amd64.deb
check "start the server" systemctl enable --now stint-server
has "it has its runs" "tick#1" "$(stint runs --job tick)"
check "purge" apt-get purge -y stint
is "the server is stopped" inactive "$(property ActiveState)"
refute "configuration and data are gone" sh -c 'ls -d /etc/stint/*.env /etc/stint/tls /etc/stint/worker.token /var/lib/stint*'
is "programs of jobs stay" "long tick tick.env" "$(ls /etc/stint/jobs | tr '\n' ' ' | sed 's/ $//')"
check "the user stays" getent passwd stint

echo "--- the agent alone"
unset STINT_SERVER STINT_TOKEN STINT_TLS_CA
out=$(apt-get install -y --no-install-recommends /dist/stint-agent_0.0.1-1_amd64.deb 2>&1) || fail "apt-get: $out"
is "it says nothing" 0 "$(echo "$out" | grep -c '^stint: ')"
check "a job, without a server" systemctl start stint-job@tick
refute "flush fails, because it waits still" systemctl start stint-flush@root
has "and says so" "127.0.0.1:7846" "$(journalctl -q -o cat -u stint-flush@root -n 5)"
check "upgrade" dpkg -i /dist/stint-agent_0.0.2-1_amd64.deb
check "stint takes its place" apt-get install -y --no-install-recommends /dist/stint_0.0.2-1_amd64.deb
check "start the server" systemctl start stint-server
check "flush delivers what waited" systemctl restart stint-flush@root
within "it arrived" sh -c 'stint runs --job tick | grep -q tick#1'
check "purge" apt-get purge -y stint stint-agent

is "systemd found nothing wrong with the units" "" "$(journalctl -q -o cat _PID=1 -p warning | grep -E 'stint-[a-z@]*\.(service|timer):[0-9]+' | head -5)"
echo "--- all checks were made"
systemctl poweroff -ff
