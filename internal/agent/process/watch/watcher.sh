# The watcher of one attempt: $1 and $2 mark its processes' environment, the rest are its
# cgroup directories. It reads from the agent until the agent is gone, and then ends what is
# left. Descriptor 5, if there is one, has the lock of the job's name, until then. "PID TICKS" is a session's first process and when that started, "-PID" a session of
# which nothing lives any more, and "over" says that nothing is to be ended.
trap '' HUP INT QUIT TERM PIPE
run=$1 attempt=$2
shift 2
sessions='' complete='' left=''

# finish becomes the agent's own program, descriptor 3, which ends what still has the mark, unless it is
# asked not to, and completes and delivers the journal; descriptor 4 has what it must know.
finish() {
	[ -e /proc/self/fd/3 ] && exec /proc/self/fd/3 finish-attempt "$@" "${run#*=}" "${attempt#*=}" </dev/null
}

while read -r pid ticks; do
	case $pid in
	over)
		while read -r pid; do :; done
		exec 5>&-
		finish --deliver-only
		exit
		;;
	-*)
		kept=''
		for session in $sessions; do
			[ "-${session%:*}" = "$pid" ] || kept="$kept $session"
		done
		sessions=$kept
		;;
	*) sessions="$sessions $pid:$ticks" ;;
	esac
done

# What outlives the agent, for the record; the kernel ends the first processes of sessions.
for dir in "$@"; do
	while read -r pid; do
		case " $sessions" in *" $pid:"*) continue ;; esac
		[ ${#left} -lt 4000 ] && read -r name <"/proc/$pid/comm" && left="$left$pid $name
"
	done <"$dir/cgroup.procs"
	break # the others hold the same
done
for dir in "$@"; do
	if [ -e "$dir/cgroup.kill" ]; then
		echo 1 >"$dir/cgroup.kill" && complete=1
	fi
	round=0
	while [ $round -lt 100 ]; do
		found=
		while read -r pid; do
			found=1
			kill -KILL "$pid"
		done <"$dir/cgroup.procs"
		# An agent that died between freezing a group and thawing it left it frozen.
		[ ! -e "$dir/freezer.state" ] || echo THAWED >"$dir/freezer.state"
		[ -n "$found" ] || break
		round=$((round + 1))
	done
done

# started prints when a process started: the 22nd field of its stat, of which the second, the
# name, may hold anything.
started() {
	stat=$(cat "/proc/$1/stat")
	stat=${stat##*) }
	set -- $stat
	echo "${20}"
}
# A session's number stays its own while anything of it lives. Another process with that number
# shows that it was reused. Of a first process that has ended, or that /proc hides, nothing can be read.
[ -n "$complete" ] || for session in $sessions; do
	pid=${session%:*}
	now=$(started "$pid")
	if [ -z "$now" ] || [ "$now" = "${session#*:}" ]; then
		kill -KILL "-$pid" # dash takes no -- here
	fi
done

for dir in "$@"; do rmdir "$dir"; done
# The lock is free as soon as nothing lives, however long the journal takes.
[ -z "$complete" ] || exec 5>&-
held=''
[ ! -e /proc/self/fd/5 ] || held=1
finish --left "$left" ${complete:+--deliver-only} ${held:+--lock} &
[ ! -e /proc/self/fd/3 ] || exec 5>&-
if wait $!; then complete=1; fi

# What changed its session and is in none of these cgroups still has the mark. A process
# that is just replacing its program shows no environment for a moment, so it takes two rounds
# that find nobody.
round=0 clean=0
while [ -z "$complete" ] && [ $clean -lt 2 ] && [ $round -lt 8 ] && [ -d /proc/1 ]; do
	clean=$((clean + 1))
	# One grep for all of them: a busy host has many processes, and little time for more.
	for file in $(cd /proc && grep -lF -e "$run" [0-9]*/environ); do
		marks=$(tr '\0' '\n' <"/proc/$file" | grep -cxF -e "$run" -e "$attempt")
		if [ "$marks" = 2 ]; then
			clean=0
			kill -KILL "${file%/environ}"
		fi
	done
	round=$((round + 1))
done

for dir in "$@"; do
	round=0
	while ! rmdir "$dir" && [ -d "$dir" ] && [ $round -lt 50 ]; do
		sleep 0.1 || sleep 1
		round=$((round + 1))
	done
done
