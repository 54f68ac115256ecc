package query

// Queue is a query for a page of the queue, in the order of ranks. Zero fields do not filter.
type Queue struct {
	Job    string
	Group  string
	Held   bool // only runs that a person must release
	Limit  int  // 1 to 500
	Cursor string
}
