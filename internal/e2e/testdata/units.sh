#!/bin/busybox sh
# Runs in a machine whose first process is systemd: installs the units as their comments say,
# and looks at what systemd makes of them. /src is the checkout.
exec >/dev/console 2>&1
/bin/busybox --install -s /bin
export PATH=/usr/local/bin:/usr/local/sbin:/bin HOME=/root
ip link set lo up
for module in /src/modules/inet_diag.ko /src/modules/tcp_diag.ko; do insmod $module; done
cd /src || exit 1

failed=0
fail() {
	echo "FAILED: $*"
	failed=$((failed + 1))
	if [ $failed = 3 ]; then
		log | tail -5
		manager | tail -5
		journalctl -q -o cat -u "stint-job@*" -u "stint-flush@*" | tail -20
		poweroff -f
	fi
}
. /src/checks.sh
# form NAME: all lines of the server so far have the form of its log.
form() { is "$1" "" "$(log | grep -vE '^time=[^ ]+ level=(INFO|WARN|ERROR) msg=' | head -5)"; }
property() { systemctl show -P "$1" "${2:-stint-server}"; }
log() { journalctl -q -o cat _SYSTEMD_UNIT=stint-server.service; }
manager() { journalctl -q -o cat _PID=1 UNIT=stint-server.service; }
as() { user=$1; shift; /usr/bin/setpriv --reuid "$user" --regid "$user" --init-groups env HOME="/home/$user" "$@"; }

# The steps of the unit's comment, as they are written there.
sed -n '/Install:$/,/^# Options/s/^#   //p' deploy/systemd/stint-server.service >/tmp/install
is "the unit says how it is installed" 4 "$(wc -l </tmp/install)"
check "install the server" sh -e /tmp/install
is "it runs" active "$(property ActiveState)"
is "as the user stint" stint "$(stat -c %U /proc/"$(property MainPID)")"
is "with a watchdog" 2min "$(property WatchdogUSec)"
is "its data is its own" "700 stint" "$(stat -c '%a %U' /var/lib/stint-server)"
has "and the database" "^600 stint$" "$(stat -c '%a %U' /var/lib/stint-server/stint.db)"
check "root needs no token" stint runs
has "another user does" "belongs to user backup, the server runs as stint: set STINT_TOKEN" "$(as backup stint runs 2>&1)"
has "systemctl status says what it does" "serving http://127.0.0.1:7846" "$(property StatusText)"

# TLS on the network, with the key as the comment says.
mkdir -p /etc/stint/tls
renew() {
	sed -n 's/^#   \(install -o root .*\)/\1/p' deploy/systemd/stint-server.service |
		sed "s,KEY,/src/$1-key.pem,; s,CHAIN,/src/$1.pem," >/tmp/renew
	sh -e /tmp/renew
}
check "install the first certificate" renew one
is "the key is for root and the server" "640 root stint" "$(stat -c '%a %U %G' /etc/stint/tls/key.pem)"
cat >/etc/stint/server.env <<-END
	STINT_LISTEN=0.0.0.0:7846
	STINT_TLS_CERT=/etc/stint/tls/cert.pem
	STINT_TLS_KEY=/etc/stint/tls/key.pem
END
chmod 0600 /etc/stint/server.env
check "restart" systemctl restart stint-server
export STINT_SERVER=https://127.0.0.1:7846
admin=$(cat /var/lib/stint-server/admin.token)
has "root needs a token now" "STINT_TOKEN" "$(stint runs --tls-ca one.pem 2>&1)"
check "the first token" env STINT_TOKEN="$admin" stint runs --tls-ca one.pem
pid=$(property MainPID)
check "renew the certificate" renew two
within "the new one is taken" env STINT_TOKEN="$admin" stint runs --tls-ca two.pem
is "without a restart" "$pid" "$(property MainPID)"
export STINT_TLS_CA=/src/two.pem

# A job of another user, as a unit.
token=$(STINT_TOKEN=$admin stint token create --name hosts --scope agent --json | sed -n 's/.*"token": *"\([^"]*\)".*/\1/p')
has "a token for hosts" "^stint_" "$token"
sed "s,^#STINT_SERVER=.*,STINT_SERVER=$STINT_SERVER,; s,^#STINT_TOKEN=.*,STINT_TOKEN=$token," deploy/systemd/agent.env >/etc/stint/agent.env
printf 'STINT_TLS_CA=/etc/stint/tls/cert.pem\nSTINT_FLUSH_TIMEOUT=2m\n' >>/etc/stint/agent.env
chmod 0600 /etc/stint/agent.env
cat >/tmp/program <<-'END'
	#!/bin/sh
	echo copied
	sleep 10 # the machine is slow, and a job that ends does not wait for long for a server that it never reached
	if [ "$(cat /home/backup/code)" = wait ]; then
		trap 'echo stopped in order; exit 3' TERM
		touch /home/backup/waits
		while :; do sleep 0.2; done
	fi
	exit "$(cat /home/backup/code)"
END
sed -n '/Install:$/,/^# A job is/s/^#   //p' deploy/systemd/stint-job@.service >/tmp/install
is "the unit of jobs says how it is installed" 3 "$(wc -l </tmp/install)"
check "install the unit of jobs" sh -e /tmp/install
sed -n 's/^#   \(install .*PROGRAM.*\)/\1/p' deploy/systemd/stint-job@.service | sed 's,PROGRAM,/tmp/program,; s,jobs/backup,jobs/nightly-backup,' >/tmp/install
check "install the job" sh -e /tmp/install
# drop-in UNIT TEXT: what systemctl edit writes.
drop_in() { mkdir -p "/etc/systemd/system/$1.d" && printf "$2" >"/etc/systemd/system/$1.d/override.conf"; }
drop_in stint-job@nightly-backup.service '[Service]\nUser=backup\n'
drop_in stint-job@nightly-backup.timer '[Timer]\nOnCalendar=\nOnCalendar=*-*-* 03:00\n'
check "daemon-reload" systemctl daemon-reload
check "its timer" systemctl enable --now stint-job@nightly-backup.timer
has "waits for three" " 03:00:00 " "$(property NextElapseUSecRealtime stint-job@nightly-backup.timer)"
is "and for nothing else" 1 "$(property TimersCalendar stint-job@nightly-backup.timer | wc -l)"
echo 0 >/home/backup/code
job=stint-job@nightly-backup
check "the job" systemctl start $job
echo 7 >/home/backup/code
systemctl start $job
is "a failed job is a failed unit" "exit-code 7" "$(property Result $job) $(property ExecMainStatus $job)"
export STINT_TOKEN=$admin
is "its log" copied "$(stint logs nightly-backup#2)"
has "it had a group of its own" "nightly-backup" "$(stint runs)"
note=$(stint show nightly-backup#2 --json)
has "with its exit code" '"exit_code": ?7' "$note"
if echo "$note" | grep -q "not enforced"; then fail "a limit is not enforced: $note"; fi

# Its journal waits when the server is away, and the unit delivers it.
check "stop" systemctl stop stint-server
is "it ended cleanly" "success 0 inactive" "$(property Result) $(property ExecMainStatus) $(property ActiveState)"
has "and says so" "msg=stopped" "$(log | tail -1)"
echo 0 >/home/backup/code
sed -i 's/^STINT_FLUSH_TIMEOUT=.*/STINT_FLUSH_TIMEOUT=1s/' /etc/stint/agent.env
check "a job without a server" systemctl start $job
check "start again" systemctl start stint-server
for f in stint-flush@.service stint-flush@.timer; do cp "deploy/systemd/$f" /etc/systemd/system/; done
check "daemon-reload" systemctl daemon-reload
check "the timer of a user" systemctl enable --now stint-flush@backup.timer
check "deliver" systemctl start stint-flush@backup.service
is "it arrived" copied "$(stint logs nightly-backup#3)"

# systemctl stop lets the job end, and the run says how it ended.
echo wait >/home/backup/code
rm -f /home/backup/waits
check "start a job that goes on" systemctl start --no-block $job
within "it runs" test -e /home/backup/waits
check "starting it again joins the start" systemctl start --no-block $job
check "stop it" systemctl stop $job
has "it ended in order" "stopped in order" "$(stint logs nightly-backup#4)"
is "with its exit code" "exit-code 3" "$(property Result $job) $(property ExecMainStatus $job)"
check "reset" systemctl reset-failed $job
sed -i "s/trap .*/trap '' TERM/" /etc/stint/jobs/nightly-backup
echo STINT_STOP_GRACE=2s >/etc/stint/jobs/nightly-backup.env
rm -f /home/backup/waits
check "start a job that ignores SIGTERM" systemctl start --no-block $job
within "it runs" test -e /home/backup/waits
check "stop it" systemctl stop $job
is "which is no failure" "success inactive" "$(property Result $job) $(property ActiveState $job)"
is "no start overlapped" 5 "$(stint runs --job nightly-backup --json | grep -c '"number":')"
is "nothing of it is left" "" "$(ps | grep '[j]obs/nightly-backup')"
printf '#!/none\n' >/etc/stint/jobs/nightly-backup
systemctl start $job
is "a job that cannot be started fails" "exit-code 127" "$(property Result $job) $(property ExecMainStatus $job)"
check "reset" systemctl reset-failed $job

# It comes back, however it ends.
restarts=$(property NRestarts)
kill -9 "$(property MainPID)"
back() { [ "$(property NRestarts)" -gt "$restarts" ] && [ "$(property ActiveState)" = active ]; }
within "it comes back after kill -9" back
# A server that does not run is ended and started again. With a short watchdog.
mkdir -p /etc/systemd/system/stint-server.service.d
printf '[Service]\nWatchdogSec=10s\nTimeoutAbortSec=2s\n' >/etc/systemd/system/stint-server.service.d/short.conf
check "daemon-reload" systemctl daemon-reload
check "restart" systemctl restart stint-server
restarts=$(property NRestarts) pid=$(property MainPID)
sleep 12
form "each line of its log has one form" # until it is aborted, and prints its stacks
is "a server that works is left alone" "$restarts $pid" "$(property NRestarts) $(property MainPID)"
kill -STOP "$pid"
within "one that does not run comes back" back
has "because of the watchdog" "Watchdog timeout" "$(manager)"
# One that cannot start is tried for ever, and says why.
echo STINT_DATABASE=postgres://nobody@127.0.0.1:1/none >>/etc/stint/server.env
echo STINT_DATA= >>/etc/stint/server.env
systemctl restart --no-block stint-server
tried() { [ "$(property NRestarts)" -ge 6 ]; }
within "a server without its database is tried again" tried
sed -i '/DATABASE/d; /DATA=/d' /etc/stint/server.env
echo STINT_KEEP_DAYS=many >>/etc/stint/server.env
if systemctl restart stint-server; then fail "a wrong option is accepted"; fi
has "a wrong option is named" "STINT_KEEP_DAYS" "$(log | tail -5)"
named() { systemctl status --no-pager -l stint-server | grep -q STINT_KEEP_DAYS; }
within "systemctl status shows it" named
sed -i /KEEP_DAYS/d /etc/stint/server.env
check "restart" systemctl restart stint-server
check "nothing was lost" stint logs nightly-backup#3
check "stop" systemctl stop stint-server

is "systemd found nothing wrong" "" "$(journalctl -q -o cat _PID=1 -p warning | grep -vE 'Watchdog|Failed with result|code=killed|code=dumped|code=exited|Failed to start|Killing process|autofs4|tainted|stop-watchdog' | head -5)"
echo "--- all checks were made"
poweroff -f
