# The watcher of one attempt: $1 and $2 mark its processes' environment, the rest are its
# cgroup directories. It reads process ids from the agent until the agent is gone, and then
# ends what is left.
trap '' HUP INT QUIT TERM PIPE
run=$1 attempt=$2
shift 2
sessions='' complete=''
while read -r pid; do sessions="$sessions $pid"; done

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
		[ -n "$found" ] || break
		round=$((round + 1))
	done
done
for pid in $sessions; do kill -KILL -- "-$pid"; done

# What changed its session and is in none of these cgroups still has the mark. A process
# that is just replacing its program shows no environment for a moment, so it takes two looks
# that find nobody.
round=0 clean=0
while [ -z "$complete" ] && [ $clean -lt 2 ] && [ $round -lt 8 ] && [ -d /proc/1 ]; do
	clean=$((clean + 1))
	for dir in /proc/[0-9]*; do
		[ -r "$dir/environ" ] || continue
		marks=$(tr '\0' '\n' <"$dir/environ" | grep -cxF -e "$run" -e "$attempt")
		if [ "$marks" = 2 ]; then
			clean=0
			kill -KILL "${dir#/proc/}"
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
