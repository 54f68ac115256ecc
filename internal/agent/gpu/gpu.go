// Package gpu reads what nvidia-smi prints about the GPUs of a host.
package gpu

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"stint.dev/stint/internal/agent/text"
	"stint.dev/stint/job"
)

// Program is what must be on the PATH.
const Program = "nvidia-smi"

// Query are the arguments whose answer Parse reads.
var Query = []string{"--query-gpu=index,name,utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits"}

const (
	most    = 64  // GPUs of a host
	maxName = 128 // bytes of a name
)

// Parse reads an answer: one line for each GPU. What a GPU does not report ("[N/A]") is left
// out of it.
func Parse(answer []byte) ([]job.GPU, error) {
	r := csv.NewReader(bytes.NewReader(answer))
	r.FieldsPerRecord, r.TrimLeadingSpace, r.LazyQuotes = 5, true, true
	var all []job.GPU
	for len(all) < most {
		row, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the answer of %s: %w", Program, err)
		}
		index, err := strconv.Atoi(strings.TrimSpace(row[0]))
		if err != nil || index < 0 {
			return nil, fmt.Errorf("read the answer of %s: %s is not the number of a GPU", Program, job.Quote(row[0]))
		}
		g := job.GPU{Index: index, Name: text.Clean(row[1], maxName)}
		if percent, ok := number(row[2]); ok {
			g.UtilizationPercent = &percent
		}
		if mebibytes, ok := number(row[3]); ok {
			g.MemoryBytes = int64(mebibytes * (1 << 20))
		}
		if mebibytes, ok := number(row[4]); ok {
			g.MemoryTotalBytes = int64(mebibytes * (1 << 20))
		}
		all = append(all, g)
	}
	return all, nil
}

func number(s string) (float64, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return n, err == nil && n >= 0 && n < 1e9 && !math.IsNaN(n)
}
