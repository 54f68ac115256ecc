package index

import (
	"fmt"

	"stint.dev/stint/job"
)

// streamKey names one stream of an attempt.
type streamKey struct {
	step   int
	stream job.Stream
}

// fewStreams is the number of streams up to which they are searched one by one; more have a map.
const fewStreams = 8

// stream returns the state of a stream, which it adds if it is missing. The result is valid until the next call.
func (f *folder) stream(step int, name job.Stream) (*Stream, error) {
	s, key := &f.State, streamKey{step, name}
	if i, ok := f.findStream(key); ok {
		return &s.Streams[i], nil
	}
	if len(s.Streams) >= 2*maxSteps {
		return nil, &RefusedError{fmt.Sprintf("the journal has output of more than %d steps, which no agent writes", maxSteps)}
	}
	s.Streams = append(s.Streams, Stream{Step: step, Stream: name})
	if f.streams != nil {
		f.streams[key] = len(s.Streams) - 1
	}
	return &s.Streams[len(s.Streams)-1], nil
}

// findStream returns the index of a stream in State.Streams.
func (f *folder) findStream(key streamKey) (int, bool) {
	all := f.State.Streams
	if len(all) <= fewStreams {
		for i := len(all) - 1; i >= 0; i-- {
			if all[i].Step == key.step && all[i].Stream == key.stream {
				return i, true
			}
		}
		return 0, false
	}
	if f.streams == nil {
		f.streams = make(map[streamKey]int, len(all))
		for i, st := range all {
			f.streams[streamKey{st.Step, st.Stream}] = i
		}
	}
	i, ok := f.streams[key]
	return i, ok
}
