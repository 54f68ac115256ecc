package erase

import (
	"encoding/binary"
	"errors"
)

// The kinds of pages of a tree: the first byte of their header.
const (
	indexInterior = 2
	tableInterior = 5
	indexLeaf     = 10
	tableLeaf     = 13
)

// treePage is a page of a tree, as https://www.sqlite.org/fileformat2.html describes it.
type treePage struct {
	data    []byte
	usable  int // bytes of the page
	header  int // where it begins
	kind    byte
	cells   int
	numbers int // where the offsets of cells begin
	content int // where the cells begin
}

var errDamagedPage = errors.New("the page is damaged: stint server check finds what is")

// parseTree reads the header of a page; ok is false for one that is of no tree.
func parseTree(data []byte, page uint32, usable int) (t treePage, ok bool) {
	t = treePage{data: data, usable: usable}
	if page == 1 {
		t.header = 100 // after that of the database
	}
	h := data[t.header:]
	t.kind, t.cells, t.content = h[0], int(binary.BigEndian.Uint16(h[3:])), int(binary.BigEndian.Uint16(h[5:]))
	if t.content == 0 {
		t.content = 65536
	}
	switch t.kind {
	case indexLeaf, tableLeaf:
		t.numbers = t.header + 8
	case indexInterior, tableInterior:
		t.numbers = t.header + 12
	default:
		return t, false
	}
	return t, true
}

// clean overwrites what is between the offsets of cells and the cells, and the free room between cells.
func (t *treePage) clean() (changed bool, err error) {
	gap := t.numbers + 2*t.cells
	if t.content < gap || t.content > t.usable {
		return false, errDamagedPage
	}
	changed = zero(t.data[gap:t.content])
	for at, before := int(binary.BigEndian.Uint16(t.data[t.header+1:])), 0; at != 0; {
		if at <= before || at < t.content || at+4 > t.usable {
			return changed, errDamagedPage
		}
		size := int(binary.BigEndian.Uint16(t.data[at+2:]))
		if size < 4 || at+size > t.usable {
			return changed, errDamagedPage
		}
		if zero(t.data[at+4 : at+size]) {
			changed = true
		}
		at, before = int(binary.BigEndian.Uint16(t.data[at:])), at
	}
	return changed, nil
}

// overflow is the part of a row that is on pages of its own.
type overflow struct {
	page  uint32 // the first
	bytes int
}

// overflows returns the parts of rows that continue on other pages.
func (t *treePage) overflows() (all []overflow) {
	if t.kind == tableInterior {
		return nil // has keys only
	}
	for i := range t.cells {
		at := int(binary.BigEndian.Uint16(t.data[t.numbers+2*i:]))
		if one, ok := t.overflowAt(at); ok {
			all = append(all, one)
		}
	}
	return all
}

func (t *treePage) overflowAt(at int) (o overflow, ok bool) {
	if at < t.content || at+4 > t.usable {
		return o, false
	}
	if t.kind == indexInterior {
		at += 4 // the page of the smaller keys
	}
	payload, n := varint(t.data[at:t.usable])
	at += n
	most := (t.usable-12)*64/255 - 23
	if t.kind == tableLeaf {
		_, n := varint(t.data[at:t.usable]) // the key
		at += n
		most = t.usable - 35
	}
	if payload <= most {
		return o, false
	}
	least := (t.usable-12)*32/255 - 23
	local := least + (payload-least)%(t.usable-4)
	if local > most {
		local = least
	}
	if at+local+4 > t.usable {
		return o, false
	}
	return overflow{binary.BigEndian.Uint32(t.data[at+local:]), payload - local}, true
}

// varint reads a number as SQLite writes it, and returns its length.
func varint(b []byte) (v, n int) {
	for n < len(b) && n < 8 {
		v = v<<7 | int(b[n]&0x7f)
		n++
		if b[n-1] < 0x80 {
			return v, n
		}
	}
	if n < len(b) {
		v, n = v<<8|int(b[n]), n+1
	}
	return v, n
}
