# Ends what the testbed started, whatever way the testbed itself ended: it reads lines until its standard input closes,
# which the kernel sees to even after a kill -9, then ends the process groups it was told of and removes the data.
#   watch PID SIGNAL   a process group, and the signal that asks it to end
#   forget PID         it has ended
#   keep               keep the logs
# Arguments: the directory of the run, and the seconds that processes get between the signal and a kill -9.
trap '' HUP INT TERM
run=$1
grace=$2
groups=
keep=
while read -r verb pid signal; do
  case $verb in
  watch) groups="$groups $pid:$signal" ;;
  forget)
    left=
    for group in $groups; do
      [ "${group%%:*}" = "$pid" ] || left="$left $group"
    done
    groups=$left
    ;;
  keep) keep=1 ;;
  esac
done
for group in $groups; do
  kill -s CONT -- "-${group%%:*}"
  kill -s "${group#*:}" -- "-${group%%:*}"
done 2>/dev/null
tenths=$((grace * 10))
while [ "$tenths" -gt 0 ]; do
  alive=
  for group in $groups; do
    kill -s 0 -- "-${group%%:*}" 2>/dev/null && alive=1
  done
  [ -n "$alive" ] || break
  sleep 0.1
  tenths=$((tenths - 1))
done
for group in $groups; do
  kill -s KILL -- "-${group%%:*}"
done 2>/dev/null
case $run in
*/tidegate-*)
  if [ -n "$keep" ]; then rm -rf "$run/data"; else rm -rf "$run"; fi
  ;;
esac
