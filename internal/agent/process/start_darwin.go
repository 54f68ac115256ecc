package process

const maxRSSUnit = 1 // ru_maxrss is in bytes

func onMainThread() bool { return false } // which does not matter here
