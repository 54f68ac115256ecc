package query

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"stint.dev/stint/job"
)

// DecodeSamples decodes a JSON array of samples, as the store keeps them, and appends them to
// into. It accepts what encoding/json does. What this program writes itself it reads several times
// faster, because a chart of a month reads half a million samples.
func DecodeSamples(into []job.Sample, text []byte) ([]job.Sample, error) {
	r := sampleReader{text: text}
	if out, ok := r.samples(into); ok {
		return out, nil
	}
	var some []job.Sample
	if err := json.Unmarshal(text, &some); err != nil {
		return into, fmt.Errorf("decode samples: %w", err)
	}
	return append(into, some...), nil
}

// sampleReader reads samples as encoding/json writes them: no white space, no escapes in names, no
// null. Its methods report false for everything else.
type sampleReader struct {
	text []byte
	at   int
}

func (r *sampleReader) samples(into []job.Sample) ([]job.Sample, bool) {
	ok := list(r, func() bool {
		into = append(into, job.Sample{})
		return r.sample(&into[len(into)-1])
	})
	return into, ok && r.at == len(r.text)
}

func (r *sampleReader) sample(s *job.Sample) bool {
	return r.object(func(key []byte) bool {
		switch string(key) {
		case "at":
			return r.time(&s.At)
		case "cpu_seconds":
			return r.number(&s.CPUSeconds)
		case "cpu_cores":
			return r.number(&s.CPUCores)
		case "memory_bytes":
			return integer(r, &s.MemoryBytes)
		case "cache_bytes":
			return integer(r, &s.CacheBytes)
		case "peak_bytes":
			return integer(r, &s.PeakBytes)
		case "limit_bytes":
			return integer(r, &s.LimitBytes)
		case "processes":
			return integer(r, &s.Processes)
		case "threads":
			return integer(r, &s.Threads)
		case "read_bytes":
			return integer(r, &s.ReadBytes)
		case "write_bytes":
			return integer(r, &s.WriteBytes)
		case "pressure":
			return r.pressure(&s.Pressure)
		case "gpus":
			return r.gpus(&s.GPUs)
		}
		return false
	})
}

func (r *sampleReader) pressure(into **job.Pressure) bool {
	if *into != nil {
		return false // given twice
	}
	p := &job.Pressure{}
	*into = p
	return r.object(func(key []byte) bool {
		switch string(key) {
		case "cpu":
			return r.number(&p.CPU)
		case "memory":
			return r.number(&p.Memory)
		case "io":
			return r.number(&p.IO)
		}
		return false
	})
}

func (r *sampleReader) gpus(into *[]job.GPU) bool {
	if *into != nil {
		return false // given twice
	}
	gpus := []job.GPU{}
	ok := list(r, func() bool {
		gpus = append(gpus, job.GPU{})
		return r.gpu(&gpus[len(gpus)-1])
	})
	*into = gpus
	return ok
}

func (r *sampleReader) gpu(g *job.GPU) bool {
	return r.object(func(key []byte) bool {
		switch string(key) {
		case "index":
			return integer(r, &g.Index)
		case "name":
			name, ok := r.quoted()
			g.Name = string(name)
			return ok
		case "utilization_percent":
			g.UtilizationPercent = new(float64)
			return r.number(g.UtilizationPercent)
		case "memory_bytes":
			return integer(r, &g.MemoryBytes)
		case "memory_total_bytes":
			return integer(r, &g.MemoryTotalBytes)
		}
		return false
	})
}

// list reads an array; element reads one element of it.
func list(r *sampleReader, element func() bool) bool {
	if !r.take('[') {
		return false
	}
	if r.take(']') {
		return true
	}
	for {
		if !element() {
			return false
		}
		if !r.take(',') {
			return r.take(']')
		}
	}
}

// object reads an object; value reads the value of a key.
func (r *sampleReader) object(value func(key []byte) bool) bool {
	if !r.take('{') {
		return false
	}
	if r.take('}') {
		return true
	}
	for {
		key, ok := r.quoted()
		if !ok || !r.take(':') || !value(key) {
			return false
		}
		if !r.take(',') {
			return r.take('}')
		}
	}
}

// take moves past a byte, if it is the next one.
func (r *sampleReader) take(c byte) bool {
	if r.at < len(r.text) && r.text[r.at] == c {
		r.at++
		return true
	}
	return false
}

// quoted returns what is in a string of printable ASCII without escapes.
func (r *sampleReader) quoted() ([]byte, bool) {
	if !r.take('"') {
		return nil, false
	}
	for from := r.at; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == '"':
			r.at++
			return r.text[from : r.at-1], true
		case c == '\\' || c < ' ' || c > '~':
			return nil, false
		}
	}
	return nil, false
}

func (r *sampleReader) time(into *time.Time) bool {
	from := r.at
	if _, ok := r.quoted(); !ok {
		return false
	}
	return into.UnmarshalJSON(r.text[from:r.at]) == nil
}

// integer reads a whole number of up to 18 digits, which fits.
func integer[T int | int64](r *sampleReader, into *T) bool {
	negative := r.take('-')
	from := r.at
	if n := r.digits(); n == 0 || n > 18 || r.isFraction() {
		return false
	}
	n := T(0)
	for _, c := range r.text[from:r.at] {
		n = 10*n + T(c-'0')
	}
	if negative {
		n = -n
	}
	*into = n
	return r.text[from] != '0' || r.at == from+1 // JSON has no needless zeros
}

// number reads a number as JSON has it.
func (r *sampleReader) number(into *float64) bool {
	from := r.at
	r.take('-')
	whole := r.at
	if n := r.digits(); n == 0 || n > 1 && r.text[whole] == '0' || r.take('.') && r.digits() == 0 {
		return false
	}
	if r.take('e') || r.take('E') {
		if !r.take('-') {
			r.take('+')
		}
		if r.digits() == 0 {
			return false
		}
	}
	n, err := strconv.ParseFloat(string(r.text[from:r.at]), 64)
	*into = n
	return err == nil
}

// digits moves past digits, and returns how many there were.
func (r *sampleReader) digits() int {
	from := r.at
	for r.at < len(r.text) && '0' <= r.text[r.at] && r.text[r.at] <= '9' {
		r.at++
	}
	return r.at - from
}

// isFraction reports whether the number goes on with a fraction or an exponent.
func (r *sampleReader) isFraction() bool {
	return r.at < len(r.text) && (r.text[r.at] == '.' || r.text[r.at]|0x20 == 'e')
}
