package room

import "testing"

const mib = 1 << 20

// writable, held and full are journals with a limit of 64 MiB and 16 MiB of memory: on a disk that
// is written, on one that cannot be written, and on a full one.
var (
	writable = State{Limit: 64 * mib, Memory: 16 * mib, DiskWritable: true}
	held     = State{Limit: 64 * mib, Memory: 16 * mib}
	full     = State{Limit: 64 * mib, Memory: 16 * mib, DiskFull: true, Reserved: MinReserve + 3*mib}
)

func (s State) with(change func(*State)) State {
	change(&s)
	return s
}

// Each rule at its bound, and one byte beyond it.
func TestRoom(t *testing.T) {
	unsent := func(n int64) func(*State) { return func(s *State) { s.Unsent = n } }
	memory := func(n int64) func(*State) { return func(s *State) { s.PlacedMemory = n } }
	tail := func(segments int, size, memory int64) func(*State) {
		return func(s *State) { s.TailSegments, s.TailSize, s.TailMemory = segments, size, memory }
	}
	accepts := func(s *State) { s.ServerAccepts = true }
	for name, tc := range map[string]struct {
		got, want bool
	}{
		"output up to half of the limit":                            {writable.with(unsent(31 * mib)).AdmitsOutput(mib), true},
		"output beyond half of the limit":                           {writable.with(unsent(31 * mib)).AdmitsOutput(mib + 1), false},
		"output on a disk, whatever is in memory":                   {writable.with(memory(40 * mib)).AdmitsOutput(mib), true},
		"output in memory up to the window":                         {held.with(memory(mib)).AdmitsOutput(mib), true},
		"output in memory beyond the window":                        {held.with(memory(mib)).AdmitsOutput(mib + 1), false},
		"output in little memory":                                   {held.with(func(s *State) { s.Memory = mib }).AdmitsOutput(mib / 4), true},
		"output beyond a quarter of little memory":                  {held.with(func(s *State) { s.Memory = mib }).AdmitsOutput(mib/4 + 1), false},
		"output up to half of the spare reserve":                    {full.AdmitsOutput(3 * mib / 2), true},
		"output beyond half of the spare reserve":                   {full.AdmitsOutput(3*mib/2 + 1), false},
		"output on a full disk that the server takes":               {full.with(accepts).AdmitsOutput(2 * mib), true},
		"no output without a reserve":                               {full.with(func(s *State) { s.Reserved = MinReserve }).AdmitsOutput(1), false},
		"nor with less than the least reserve":                      {full.with(func(s *State) { s.Reserved = 1 }).AdmitsOutput(1), false},
		"a sample beyond the limit":                                 {writable.with(unsent(68 * mib)).AdmitsSample(1), true},
		"a sample far beyond the limit":                             {writable.with(unsent(68*mib + 1)).AdmitsSample(1), false},
		"a sample, the tail counts":                                 {writable.with(unsent(60 * mib)).with(tail(1, 8*mib+1, 0)).AdmitsSample(1), false},
		"a sample in memory beside the output":                      {held.with(memory(2 * mib)).AdmitsSample(mib), true},
		"a sample in memory beyond that":                            {held.with(memory(2 * mib)).AdmitsSample(mib + 1), false},
		"a sample up to a quarter of the spare reserve":             {full.with(memory(3 * mib / 2)).AdmitsSample(3 * mib / 4), true},
		"a sample beyond it":                                        {full.with(memory(3 * mib / 2)).AdmitsSample(3*mib/4 + 1), false},
		"the first move waits for an eighth":                        {writable.with(unsent(24*mib+1)).AdmitsMove(0, false), false},
		"the first move with an eighth":                             {writable.with(unsent(23*mib)).AdmitsMove(mib, false), true},
		"a move that follows":                                       {writable.with(unsent(31*mib)).AdmitsMove(mib, true), true},
		"a move that follows, beyond half":                          {writable.with(unsent(31*mib)).AdmitsMove(mib+1, true), false},
		"a first move of more than there can be room":               {writable.AdmitsMove(100*mib, false), true},
		"a move when the server has all":                            {held.AdmitsMove(100*mib, true), true},
		"a move in memory up to the window":                         {held.with(unsent(mib)).AdmitsMove(mib, true), true},
		"a move in memory beyond the window":                        {held.with(unsent(mib)).AdmitsMove(mib+1, true), false},
		"nothing to drop":                                           {held.with(tail(0, 0, 100*mib)).DropsOldest(), false},
		"a tail that fills the memory":                              {held.with(tail(2, 16*mib, 16*mib)).DropsOldest(), false},
		"a tail that exceeds the memory":                            {held.with(tail(2, 16*mib, 16*mib+1)).DropsOldest(), true},
		"a single segment that exceeds the memory":                  {held.with(tail(1, 16*mib, 16*mib+1)).DropsOldest(), true},
		"less memory, because of earlier steps":                     {held.with(memory(8 * mib)).with(tail(2, 12*mib, 11*mib+1)).DropsOldest(), true},
		"and just as much":                                          {held.with(memory(8 * mib)).with(tail(2, 12*mib, 11*mib)).DropsOldest(), false},
		"memory for the least tail stays":                           {held.with(memory(40 * mib)).with(tail(2, mib, mib)).DropsOldest(), false},
		"and not more than that":                                    {held.with(memory(40 * mib)).with(tail(2, mib, mib+1)).DropsOldest(), true},
		"a tail of three quarters of the rest":                      {writable.with(unsent(32 * mib)).with(tail(2, 24*mib, 0)).DropsOldest(), false},
		"a tail beyond three quarters of the rest":                  {writable.with(unsent(32 * mib)).with(tail(2, 24*mib+1, 0)).DropsOldest(), true},
		"its last segment stays":                                    {writable.with(unsent(64 * mib)).with(tail(1, 24*mib+1, 0)).DropsOldest(), false},
		"a disk with room for the tail":                             {held.with(tail(9, 50*mib, 0)).TailExceedsDisk(), false},
		"no tail on a full disk":                                    {full.with(tail(0, 0, 0)).TailExceedsDisk(), false},
		"a tail that the reserve holds":                             {full.with(tail(2, mib, 0)).TailExceedsDisk(), false},
		"several segments beyond the limit of a tail":               {full.with(tail(2, mib+1, 0)).TailExceedsDisk(), true},
		"one segment that the reserve holds":                        {full.with(tail(1, 3*mib, 0)).TailExceedsDisk(), false},
		"one segment that the reserve does not hold":                {full.with(tail(1, 3*mib+1, 0)).TailExceedsDisk(), true},
		"one beside placed records in memory":                       {full.with(memory(mib)).with(tail(1, 2*mib+1, 0)).TailExceedsDisk(), true},
		"one that the server takes":                                 {full.with(accepts).with(tail(1, 30*mib, 0)).TailExceedsDisk(), false},
		"several that the server takes, beyond the limit of a tail": {full.with(accepts).with(tail(2, mib+1, 0)).TailExceedsDisk(), true},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %v, want %v", name, tc.got, tc.want)
		}
	}
}

// A journal in which dropping goes on until nothing has to be dropped keeps its bounds.
func TestDroppingEnds(t *testing.T) {
	for _, s := range []State{writable, held, full, full.with(func(s *State) { s.ServerAccepts = true })} {
		for _, unsent := range []int64{0, 32 * mib, 64 * mib, 80 * mib} {
			s.Unsent, s.TailSegments, s.TailSize, s.TailMemory = unsent, 100, 100*mib, 100*mib
			for s.DropsOldest() {
				s.TailSegments, s.TailSize, s.TailMemory = s.TailSegments-1, s.TailSize-mib, s.TailMemory-mib
			}
			if s.TailSegments < 0 || s.TailMemory > s.Memory {
				t.Errorf("%+v is left", s)
			}
		}
	}
}

func TestLeftToOthers(t *testing.T) {
	for total, want := range map[int64]int64{0: 0, 20 * mib: mib, 20 << 30: 1 << 30, 1 << 40: 1 << 30} {
		if got := LeftToOthers(total); got != want {
			t.Errorf("of a disk of %d bytes %d are left to others, want %d", total, got, want)
		}
	}
}
