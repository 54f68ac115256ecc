// Package segment keeps bytes in append-only files that many runs share, so that one
// write and one sync make a whole group of appends durable.
//
// A segment is a file of frames: a header of FrameSize bytes that says whose bytes follow,
// then the bytes. A group of frames begins at a multiple of 4096. Only the last segment grows, and never one that an earlier process
// wrote: what a crash left at its end is referred to by nobody and stays unread until the
// file goes. Who refers to what is the caller's to know; a file is removed as a whole once
// nothing in it is referred to.
package segment
