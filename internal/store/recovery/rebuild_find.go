package recovery

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/segment"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/journal"
)

// piece is a part of a journal that was found. The same bytes may be found several times: as they arrived,
// merged with others, and packed.
type piece struct {
	start  int64
	place  int64
	stored int64
	from   int64 // the segment; 0 if it is in an object
	object *foundObject
	kind   segment.Kind
}

// foundObject is an object of the archive.
type foundObject struct {
	name string
	size int64
	key  tables.AttemptKey
	end  int64 // of the journal in it
}

// rebuilder rebuilds a database from what it finds.
type rebuilder struct {
	store   *store.Store
	report  func(Finding)
	sum     Rebuilt
	pieces  map[tables.AttemptKey][]piece
	notes   map[tables.AttemptKey]blocks.Note
	objects []*foundObject
	deleted map[string]bool // runs that somebody has deleted
}

func (r *rebuilder) found(f Finding) {
	r.sum.Findings++
	r.report(f)
}

// find reads all segments and objects.
func (r *rebuilder) find(ctx context.Context, objects Objects) error {
	if err := r.findInSegments(ctx); err != nil {
		return err
	}
	if objects != nil {
		err := objects(ctx, func(name string, size int64) error { return r.findInObject(ctx, name, size) })
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
	}
	for _, all := range r.pieces {
		slices.SortFunc(all, comparePieces)
	}
	return nil
}

// comparePieces compares pieces by start, and those of the same start by preference: packed in the archive, or
// written last. What an uncommitted transaction wrote is older than what replaced it.
func comparePieces(a, b piece) int {
	switch {
	case a.start != b.start:
		return cmp.Compare(a.start, b.start)
	case (a.object == nil) != (b.object == nil):
		if a.object != nil {
			return -1
		}
		return 1
	case a.from != b.from:
		return cmp.Compare(b.from, a.from)
	}
	return cmp.Compare(b.place, a.place)
}

func (r *rebuilder) findInSegments(ctx context.Context) error {
	if r.store.Segments == nil {
		return nil
	}
	all, err := r.store.Segments.List()
	if err != nil {
		return err
	}
	for _, one := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.findInSegment(one); err != nil {
			return fmt.Errorf("read segment %d: %w", one.ID, err)
		}
	}
	return nil
}

func (r *rebuilder) findInSegment(one segment.Info) error {
	path := r.store.Segments.Path(one.ID)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	type span struct{ From, To int64 }
	var bad *span // the last one; if nothing follows, a crash left it
	reportBad := func() {
		if bad != nil {
			r.found(Finding{What: fmt.Sprintf("segment %s: bytes %d to %d cannot be read", path, bad.From, bad.To)})
		}
		bad = nil
	}
	return segment.Walk(f, one.Size, func(fr segment.Frame, at int64, data []byte) error {
		reportBad()
		key := tables.AttemptKey{Run: fr.Run, Attempt: fr.Attempt}
		if index.CheckAddress(fr.Run, fr.Attempt) != nil || r.deleted[fr.Run] {
			return nil // no server writes such a frame, or it is to be erased
		}
		if fr.Kind == segment.Note {
			r.note(key, data)
			return nil
		}
		r.pieces[key] = append(r.pieces[key], piece{start: fr.Start, place: at, stored: fr.Size, from: one.ID, kind: fr.Kind})
		return nil
	}, func(from, to int64) {
		if bad == nil {
			bad = &span{From: from, To: to}
		}
		bad.To = to
	})
}

// note stores the note of an attempt. Later notes have more.
func (r *rebuilder) note(key tables.AttemptKey, text []byte) {
	var n blocks.Note
	if json.Unmarshal(text, &n) != nil || n.Number < 1 {
		return
	}
	before, known := r.notes[key]
	if known && n.BeatAt == nil {
		n.BeatAt = before.BeatAt
	}
	r.notes[key] = n
}

// findInObject reads the frames of an object.
func (r *rebuilder) findInObject(ctx context.Context, name string, size int64) error {
	key, start, ok := parseObject(name)
	if !ok {
		return nil // not an object of Stint
	}
	data, err := r.store.Archive.ReadRange(ctx, name, 0, size)
	if err != nil {
		return err
	}
	o := &foundObject{name: name, size: size, key: key}
	if r.deleted[key.Run] {
		r.objects = append(r.objects, o) // to be deleted
		return nil
	}
	for at := 0; at < len(data); {
		f, err := parsePacked(data[at:])
		if err != nil {
			r.found(Finding{Run: key.Run, Attempt: key.Attempt, At: start, What: fmt.Sprintf("object %s, byte %d: %v", name, at, err)})
			start = math.MaxInt64 // the rest is not known, so the object is kept
			break
		}
		if f.note != nil {
			r.note(key, f.note)
		} else {
			r.pieces[key] = append(r.pieces[key], piece{start: start, place: int64(at), stored: int64(f.stored), object: o, kind: segment.Packed})
			start += f.size
		}
		at += f.stored
	}
	o.end = start
	r.objects = append(r.objects, o)
	return nil
}

// parseObject reads the name of an object: RUN/ATTEMPT/START-STEP.
func parseObject(name string) (key tables.AttemptKey, start int64, ok bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 3 {
		return key, 0, false
	}
	attempt, err := strconv.Atoi(parts[1])
	from, _, found := strings.Cut(parts[2], "-")
	start, perr := strconv.ParseInt(from, 10, 64)
	key = tables.AttemptKey{Run: parts[0], Attempt: attempt}
	return key, max(start, journal.HeaderSize), err == nil && perr == nil && found && index.CheckAddress(key.Run, attempt) == nil
}

// packedFrame is a frame at the beginning of some bytes.
type packedFrame struct {
	stored int    // bytes that it takes
	size   int64  // of what it holds
	note   []byte // its note, if it holds no journal
}

var errFrame = errors.New("what stands here is not a packed block")

// parsePacked returns the length of the frame at the beginning of data. It does not decompress it.
func parsePacked(data []byte) (packedFrame, error) {
	var h zstd.Header
	if h.Decode(data) != nil {
		return packedFrame{}, errFrame
	}
	if h.Skippable {
		end := h.HeaderSize + int(h.SkippableSize)
		if end > len(data) {
			return packedFrame{}, errFrame
		}
		return packedFrame{stored: end, note: data[h.HeaderSize:end]}, nil
	}
	if !h.HasFCS || h.FrameContentSize > blocks.MaxFrame {
		return packedFrame{}, errFrame
	}
	at := h.HeaderSize
	for last := false; !last; {
		if at+3 > len(data) {
			return packedFrame{}, errFrame
		}
		block := uint32(data[at]) | uint32(data[at+1])<<8 | uint32(data[at+2])<<16
		last = block&1 != 0
		size := int(block >> 3)
		if block>>1&3 == 1 { // one byte, repeated
			size = 1
		}
		at += 3 + size
	}
	if h.HasCheckSum {
		at += 4
	}
	if at > len(data) {
		return packedFrame{}, errFrame
	}
	return packedFrame{stored: at, size: int64(h.FrameContentSize)}, nil
}

// order returns the attempts in the order in which they began: by the creation of their runs, then by number.
func (r *rebuilder) order() []tables.AttemptKey {
	created := map[string]time.Time{}
	keys := make([]tables.AttemptKey, 0, len(r.pieces))
	for key := range r.pieces {
		keys = append(keys, key)
		at := r.notes[key].CreatedAt
		if known, ok := created[key.Run]; at.IsZero() && ok {
			at = known
		}
		created[key.Run] = at
	}
	for run, at := range created {
		if at.IsZero() {
			created[run] = idTime(run)
		}
	}
	slices.SortFunc(keys, func(a, b tables.AttemptKey) int {
		if c := created[a.Run].Compare(created[b.Run]); c != 0 {
			return c
		}
		return tables.CompareKeys(a, b)
	})
	return keys
}

// idTime returns when the id of a run was created.
func idTime(run string) time.Time {
	id, err := uuid.Parse(run)
	if err != nil {
		return time.Time{}
	}
	var at [8]byte
	copy(at[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(at[:]))).UTC()
}
