#!/bin/sh
# Runs in a machine whose first process is systemd: installs a server and a worker of the user batch as the
# comments of their units say, upgrades the worker under ten running jobs, lets one of them run out of memory, and looks at
# what becomes of the others. /src is the checkout.
exec >/dev/console 2>&1
export PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin HOME=/root
cd /src || exit 1
# They say whose a connection is, so that root needs no token.
for module in inet_diag tcp_diag; do busybox insmod "/src/modules/$module.ko"; done

fail() {
	echo "FAILED: $*"
	journalctl -q -o cat -n 30 -u stint-worker@batch
	journalctl -q -o cat -n 5 -u stint-server
	stint runs
	systemctl poweroff -ff
	exit 1
}
. /src/checks.sh
property() { systemctl show -P "$1" stint-worker@batch; }
# The agents of the worker, without the worker itself.
agents() { pgrep -f '^stint-agent attempt ' | sort | tr '\n' ' '; }
# value RUN NAME: a value of the document of a run.
value() { stint show "$1" --json | sed -n "s/^ *\"$2\": \"\\{0,1\\}\\([^\",]*\\).*/\\1/p" | head -1; }

sed -n '/Install:$/,/^# Options/s/^#   //p' deploy/systemd/stint-server.service >/tmp/install
check "install the server" sh -e /tmp/install
admin=$(token --name root --scope admin)
[ -n "$admin" ] || fail "no token for root"
token --name worker --scope worker --worker machine-batch >/tmp/token
export STINT_TOKEN="$admin"

# The worker, as the comments of its unit say. Agents have cgroups of their own, so that the limits of jobs hold.
useradd -m batch
install -m 0755 bin/stint-agent /usr/local/bin/stint-agent
install -m 0644 deploy/systemd/stint-worker@.service /etc/systemd/system/
install -D -m 0600 /tmp/token /etc/stint/worker-batch.token
printf 'STINT_SERVER=http://127.0.0.1:7846\nSTINT_SLOTS=10\n' >/etc/stint/worker-batch.env
mkdir -p /etc/systemd/system/stint-worker@batch.service.d
printf '[Service]\nDelegateSubgroup=worker\n' >/etc/systemd/system/stint-worker@batch.service.d/cgroups.conf
check "daemon-reload" systemctl daemon-reload
check "start the worker" systemctl enable --now stint-worker@batch
is "it runs as batch" batch "$(stat -c %U "/proc/$(property MainPID)")"

# Ten jobs. Number 10 takes all the memory that it can get when it is told to; the others end with their numbers as exit codes.
cat >/tmp/long.yaml <<'END'
job: long
script: |
  while [ ! -e go ]; do
    if [ "$N" = 10 ] && [ -e eat ]; then exec tail /dev/zero; fi
    sleep 2
  done
  exit $N
parameters: [{name: N, type: integer}]
limits: {memory: 64MiB}
END
check "apply the definition" stint apply /tmp/long.yaml
for n in 1 2 3 4 5 6 7 8 9 10; do check "submit long#$n" stint submit long --param "N=$n"; done
all_run() { [ "$(stint runs --job long --state running | grep -c long#)" = 10 ]; }
within "ten jobs run" all_run
ten=$(agents)
is "each has an agent" 10 "$(echo "$ten" | wc -w)"

# The upgrade is a new program and a restart.
worker=$(property MainPID)
install -m 0755 bin/stint-agent /usr/local/bin/stint-agent
check "restart the worker" systemctl restart stint-worker@batch
within "it runs" systemctl is-active stint-worker@batch
[ "$worker" != "$(property MainPID)" ] || fail "the worker is the same process"
is "the same agents live" "$ten" "$(agents)"
check "all jobs run" all_run

# One job runs out of memory.
worker=$(property MainPID)
touch /home/batch/eat
out_of_memory() { [ "$(value long#10 reason)" = out_of_memory ]; }
within "long#10 ran out of memory" out_of_memory
is "the worker is the same process" "$worker" "$(property MainPID)"
is "nine agents live" 9 "$(agents | wc -w)"
check "another restart" systemctl restart stint-worker@batch
is "the same nine agents live" 9 "$(for pid in $(agents); do echo " $ten" | grep -o " $pid "; done | wc -l)"

# A worker that is killed is started again, and its agents go on.
restarts=$(property NRestarts)
kill -9 "$(property MainPID)"
back() { [ "$(property NRestarts)" -gt "$restarts" ] && [ "$(property ActiveState)" = active ]; }
within "the worker comes back after kill -9" back
is "nine agents live" 9 "$(agents | wc -w)"

touch /home/batch/go
for n in 1 2 3 4 5 6 7 8 9; do
	timeout 120 stint wait "long#$n" >/dev/null 2>&1
	is "long#$n ended with its code" "$n" $?
done
none() { [ -z "$(agents)" ]; }
within "no agent is left" none
check "stop the worker" systemctl stop stint-worker@batch
is "it ended cleanly" "success inactive" "$(property Result) $(property ActiveState)"
echo "--- all checks were made"
systemctl poweroff -ff
