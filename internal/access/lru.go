package access

import "container/list"

// lru is a map with a bounded number of entries: a new entry replaces the
// least recently used one.
type lru[K comparable, V any] struct {
	most    int
	entries map[K]*list.Element
	order   *list.List // of lruEntry, the most recently used first
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](most int) *lru[K, V] {
	return &lru[K, V]{most: most, entries: map[K]*list.Element{}, order: list.New()}
}

// get returns the value of a key, or nil. The value may be changed in place.
func (l *lru[K, V]) get(key K) *V {
	e := l.entries[key]
	if e == nil {
		return nil
	}
	l.order.MoveToFront(e)
	return &e.Value.(*lruEntry[K, V]).value
}

// put sets the value of a key.
func (l *lru[K, V]) put(key K, value V) {
	if e := l.entries[key]; e != nil {
		e.Value.(*lruEntry[K, V]).value = value
		l.order.MoveToFront(e)
		return
	}
	if len(l.entries) >= l.most {
		oldest := l.order.Back()
		l.order.Remove(oldest)
		delete(l.entries, oldest.Value.(*lruEntry[K, V]).key)
	}
	l.entries[key] = l.order.PushFront(&lruEntry[K, V]{key, value})
}

// removeIf removes the entries that match.
func (l *lru[K, V]) removeIf(match func(K, *V) bool) {
	for key, e := range l.entries {
		if match(key, &e.Value.(*lruEntry[K, V]).value) {
			l.order.Remove(e)
			delete(l.entries, key)
		}
	}
}
