package recovery

import (
	"context"
	"errors"
	"fmt"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/intake"
	"stint.dev/stint/internal/store/segment"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// rebuildBlocks limits the blocks that one transaction stores.
const rebuildBlocks = 500

// rebuildAll fills an empty database.
func rebuildAll(ctx context.Context, s *store.Store, objects Objects, report func(Finding)) (Rebuilt, error) {
	r := &rebuilder{store: s, report: report, pieces: map[tables.AttemptKey][]piece{}, notes: map[tables.AttemptKey]blocks.Note{}}
	if s.Archive == nil {
		objects = nil
	}
	deleted, err := s.ReadTexts(ctx, `SELECT run_id FROM deleted_runs`)
	if err != nil {
		return r.sum, fmt.Errorf("read which runs were deleted: %w", err)
	}
	r.deleted = make(map[string]bool, len(deleted))
	for _, id := range deleted {
		r.deleted[id] = true
	}
	if err := r.find(ctx, objects); err != nil {
		return r.sum, err
	}
	order := r.order()
	ids := map[string]int64{} // of objects
	for c := (cursor{}); c.done < len(order); {
		var b *rebuilding
		err := s.Write(ctx, db.All, func(t *db.Tx) error {
			b = &rebuilding{r: r, group: intake.NewGroup(t, s.WriteBlocks(t)), cursor: c, bytesLeft: rebuildBlocks, old: ids, ids: map[string]int64{}}
			return b.rebuildBatch(ctx, order)
		})
		if err != nil {
			return r.sum, fmt.Errorf("rebuild: %w", err)
		}
		c = b.cursor
		r.sum.Runs, r.sum.Attempts, r.sum.Blocks, r.sum.Bytes = r.sum.Runs+b.sum.Runs, r.sum.Attempts+b.sum.Attempts, r.sum.Blocks+b.sum.Blocks, r.sum.Bytes+b.sum.Bytes
		for name, id := range b.ids {
			ids[name] = id
		}
		for _, f := range b.findings {
			r.found(f)
		}
	}
	return r.sum, r.finish(ctx, ids)
}

// finish stores unused objects of the archive, and prepares the tables for a server.
func (r *rebuilder) finish(ctx context.Context, ids map[string]int64) error {
	s := r.store
	return s.Write(ctx, db.All, func(t *db.Tx) error {
		for _, o := range r.objects {
			if ids[o.name] != 0 {
				continue
			}
			if !r.deleted[o.key.Run] {
				size, err := s.JournalSize(ctx, o.key.Run, o.key.Attempt)
				if err != nil {
					return err
				}
				if o.end > size {
					continue // a finding was reported for it
				}
			}
			_, err := t.ExecContext(ctx, `INSERT INTO objects (name, state, size, changed_at) VALUES ($1, 'dead', $2, $3)`, o.name, o.size, db.Micros(s.Now()))
			if err != nil {
				return err
			}
		}
		// People are not notified again of past runs, and the numbers of runs continue.
		for _, query := range []string{
			`DELETE FROM outbox`,
			`UPDATE runs SET late = 0 WHERE late = 1`,
			`UPDATE jobs SET next_number = (SELECT COALESCE(MAX(number), 0) + 1 FROM runs WHERE job = jobs.name)`,
		} {
			if _, err := t.ExecContext(ctx, query); err != nil {
				return fmt.Errorf("finish the rebuild: %w", err)
			}
		}
		return nil
	})
}

// cursor is the position of a rebuild.
type cursor struct {
	done int   // the number of attempts that are done
	at   int64 // offset in the journal of the next
	pack int64 // the offset up to which its blocks are packed
}

// rebuilding is one transaction of a rebuild.
type rebuilding struct {
	r         *rebuilder
	group     *intake.Group
	cursor    cursor
	bytesLeft int
	old, ids  map[string]int64 // rows of objects, of earlier transactions and of this one
	sum       Rebuilt
	findings  []Finding
}

// rebuildBatch rebuilds attempts until the transaction has enough blocks.
func (b *rebuilding) rebuildBatch(ctx context.Context, order []tables.AttemptKey) error {
	for b.bytesLeft > 0 && b.cursor.done < len(order) {
		if err := ctx.Err(); err != nil {
			return err
		}
		key := order[b.cursor.done]
		done, err := b.attempt(ctx, key)
		if err != nil {
			return fmt.Errorf("run %s attempt %d: %w", key.Run, key.Attempt, err)
		}
		if done {
			b.cursor = cursor{done: b.cursor.done + 1}
		}
		b.bytesLeft--
	}
	t := b.group.Tx
	if err := b.group.Save(ctx); err != nil {
		return err
	}
	return b.r.store.CountBytes(ctx, t, b.group.Blocks.Added)
}

// attempt stores the next blocks of an attempt, and reports whether it is complete.
func (b *rebuilding) attempt(ctx context.Context, key tables.AttemptKey) (done bool, err error) {
	if b.group.Runs[key.Run] == nil {
		if err := b.group.LoadRuns(ctx, []string{key.Run}); err != nil {
			return false, err
		}
	}
	row, err := b.group.Attempt(ctx, key)
	if err != nil {
		return false, err
	}
	if b.cursor.at == 0 {
		begun, err := index.Fold(row.State, b.r.header(key))
		if err != nil {
			return false, err
		}
		row.State = begun.State
		b.cursor.at, b.cursor.pack = journal.HeaderSize, journal.HeaderSize
	}
	for b.bytesLeft > 0 {
		found, err := b.r.blockAt(ctx, key, row.State, b.cursor.at)
		if err != nil {
			return false, err
		}
		if found == nil {
			return true, b.end(ctx, key, row)
		}
		if why, err := b.applyBlock(ctx, key, row, found); err != nil || why != "" {
			b.findings = append(b.findings, Finding{Run: key.Run, Attempt: key.Attempt, At: b.cursor.at, What: why})
			return true, err
		}
		b.bytesLeft--
	}
	return false, nil
}

// header returns the header of an attempt's journal.
func (r *rebuilder) header(key tables.AttemptKey) []byte {
	if h := r.notes[key].Header; journal.CheckHeader(h) == nil {
		return h
	}
	return journal.AppendHeader(nil)
}

// foundBlock is a block that continues a journal.
type foundBlock struct {
	piece
	folded index.FoldResult
	at     blocks.Place
	object *foundObject
}

// blockAt returns the block that begins at an offset; nil if there is none that can be read.
func (r *rebuilder) blockAt(ctx context.Context, key tables.AttemptKey, s index.State, at int64) (*foundBlock, error) {
	all := r.pieces[key]
	for _, p := range all[firstFrom(all, at):] {
		if p.start != at {
			break
		}
		data, stored, err := r.read(ctx, p)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			continue // another copy may be intact; if none is, the end of the journal is a finding
		}
		f, err := index.Fold(s, data)
		if err != nil || f.Tail != 0 || f.Head.Size != int64(len(data)) {
			continue
		}
		return &foundBlock{piece: p, folded: f, at: stored, object: p.object}, nil
	}
	return nil, nil
}

// read returns the journal's bytes in a piece, and their place for the row.
func (r *rebuilder) read(ctx context.Context, p piece) ([]byte, blocks.Place, error) {
	at := blocks.Place{Data: []byte{}, Stored: db.NotNull(p.stored), Place: db.NotNull(p.place)}
	if p.object != nil {
		data, err := r.store.Archive.ReadRange(ctx, p.object.name, p.place, p.stored)
		if err != nil {
			return nil, at, err
		}
		at.Codec = blocks.Compressed
		plain, err := unpackFound(data)
		return plain, at, err
	}
	at.Segment = db.NotNull(p.from)
	data, err := r.store.Segments.Read(segment.Place{Segment: p.from, Offset: p.place}, p.stored)
	if err != nil {
		return nil, at, err
	}
	if p.kind == segment.Packed {
		at.Codec, at.Data = blocks.Compressed, data
		data, err = unpackFound(data)
		return data, at, err
	}
	if len(data) <= blocks.InlineBytes {
		at.Data = data
		at.Stored.Valid = false
	}
	return data, at, nil
}

// unpackFound decompresses a frame that has its size in its header.
func unpackFound(data []byte) ([]byte, error) {
	f, err := parsePacked(data)
	if err != nil {
		return nil, err
	}
	return blocks.Unpack(data, f.size)
}

// applyBlock stores a block, and applies it to its run. why is the reason if the run refuses it.
func (b *rebuilding) applyBlock(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow, found *foundBlock) (why string, err error) {
	g, f := b.group, &found.folded
	n := b.r.notes[key]
	now := f.Head.LastAt
	if row.Size == journal.HeaderSize {
		now = f.Head.FirstAt // of what the server saw in between only the agent's time is left
	}
	if g.Runs[key.Run] == nil {
		if !n.CreatedAt.IsZero() {
			now = n.CreatedAt
		}
		if err := tables.SetNextNumber(ctx, g.Tx, f.State.View.Job, n.Number); err != nil {
			return "", err
		}
		b.sum.Runs++
	} else if run := g.Runs[key.Run]; run.Run.Attempt < key.Attempt && run.Run.State.Active() {
		// Its end is not in the journal: the server called it lost.
		lost, _, err := index.Move(run.Run, job.Event{Kind: job.LeaseExpired}, now, index.ServerClock, "Another attempt followed.")
		if err == nil {
			run.Run = lost
		}
	}
	a := index.Append{Run: key.Run, Attempt: key.Attempt, At: now}
	if started := f.State.View.StartedAt; started != nil && !n.StartAt.IsZero() {
		a.ClockOffset = n.StartAt.Sub(*started)
	}
	_, _, err = g.ApplyAppend(ctx, a, row, f)
	var refused *index.RefusedError
	var early *index.TooEarlyError
	if errors.As(err, &refused) || errors.As(err, &early) {
		return err.Error(), nil
	}
	if err != nil {
		return "", err
	}
	row.At = b.r.store.Now()
	if err := g.StoreAppend(ctx, key, row, f, nil); err != nil {
		return "", err
	}
	if !row.Stored {
		if err := g.SaveAttempt(ctx, key, row); err != nil {
			return "", err
		}
		b.sum.Attempts++
	}
	return "", b.storeBlock(ctx, key, found)
}

// storeBlock stores the row of a block.
func (b *rebuilding) storeBlock(ctx context.Context, key tables.AttemptKey, found *foundBlock) error {
	w, f := b.group.Blocks, &found.folded
	if o := found.object; o != nil {
		id := b.old[o.name] + b.ids[o.name]
		if id == 0 {
			err := w.QueryRowContext(ctx, `INSERT INTO objects (name, state, size, changed_at) VALUES ($1, 'live', $2, $3) RETURNING id`,
				o.name, o.size, db.Micros(b.r.store.Now())).Scan(&id)
			if err != nil {
				return fmt.Errorf("store object %s: %w", o.name, err)
			}
			b.ids[o.name] = id
		}
		found.at.Object = db.NotNull(id)
	}
	samples, err := blocks.EncodeSamples(f.Samples)
	if err != nil {
		return err
	}
	if err := w.PutRow(ctx, key, f.Head, samples, found.at); err != nil {
		return err
	}
	b.cursor.at += f.Head.Size
	if found.at.Codec == blocks.Compressed && b.cursor.pack == f.Head.Start {
		b.cursor.pack = b.cursor.at
	}
	b.sum.Blocks++
	b.sum.Bytes += f.Head.Size
	if w.Added += f.Head.Size; found.at.Stored.Valid {
		w.Added += found.at.Stored.Int64 - f.Head.Size
	}
	return nil
}

// end adds what the journal does not have, and reports blocks that could not be stored.
func (b *rebuilding) end(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow) error {
	all := b.r.pieces[key]
	var beyond int64
	for _, p := range all[firstFrom(all, b.cursor.at):] {
		beyond = max(beyond, p.start-b.cursor.at)
		if p.start == b.cursor.at {
			beyond = max(beyond, 1)
		}
	}
	if beyond > 0 {
		b.findings = append(b.findings, Finding{
			Run: key.Run, Attempt: key.Attempt, At: b.cursor.at,
			What: "the journal continues after this, but the bytes here are lost or damaged; the bytes after them cannot be stored",
		})
	}
	run := b.group.Runs[key.Run]
	if !row.Stored || run == nil {
		return nil
	}
	if n := b.r.notes[key]; run.Run.Attempt == key.Attempt {
		run.Run.LastHeartbeatAt, run.Run.Cancel = n.BeatAt, n.Cancel
		if run.Run.State.Active() { // its agent may be alive, and has time to report
			run.ReportedAt = b.r.store.Now().UTC()
			run.ExpiresAt = run.ReportedAt.Add(run.Lease)
		}
		b.group.DirtyRuns[key.Run] = true
	}
	if b.cursor.pack == journal.HeaderSize {
		return nil
	}
	_, err := b.group.Tx.ExecContext(ctx, `UPDATE attempts SET packed = $3 WHERE run_id = $1 AND attempt = $2`, key.Run, key.Attempt, b.cursor.pack)
	if err != nil {
		return fmt.Errorf("store how far it is packed: %w", err)
	}
	return nil
}

// firstFrom returns the index of the first piece that starts at an offset or after it.
func firstFrom(all []piece, at int64) int {
	low, high := 0, len(all)
	for low < high {
		if middle := (low + high) / 2; all[middle].start < at {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}
