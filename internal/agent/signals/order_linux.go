//go:build linux && (amd64 || arm64)

package signals

// handlerOfGo is the handler of the runtime of Go, to which countingHandler jumps.
var handlerOfGo uintptr

// countingHandler returns the address of a handler that counts a signal in handled, and
// continues with handlerOfGo.
func countingHandler() uintptr

// recordOrder puts a handler that counts before that of the runtime of Go, for those signals of
// jobControl that are taken.
func recordOrder() {
	for _, sig := range jobControl {
		d, ok := readDisposition(sig)
		if !ok || d[0] <= ignore || d[0] == countingHandler() {
			continue
		}
		if handlerOfGo != 0 && handlerOfGo != d[0] {
			continue // countingHandler knows one handler to continue with
		}
		handlerOfGo = d[0]
		d[0] = countingHandler()
		_ = writeDisposition(sig, d) // without it, the order is not known
	}
}
