// Package segment stores bytes in append-only files that many runs share, so that one write and one sync make
// a whole group of appends durable.
//
// A segment is a file of frames. A frame is a header of FrameSize bytes, which says whose bytes follow, and
// the bytes. A group of frames begins at a multiple of 4096. Only the last segment grows, and a process does
// not write to segments of earlier processes: nothing refers to what a crash left at their ends. The caller
// keeps the references. It removes a file when nothing refers to it.
package segment
