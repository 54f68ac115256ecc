// Package process starts the processes of an attempt, signals them, waits for them and reports how
// they ended.
//
// A Group has all processes of one attempt. What holds them together is package contain; below it,
// children makes them and reaps orphans, and member identifies them. Package watch ends those of an
// agent that dies.
package process
