package runner

type ListOption func(Info) bool

func matches(Info, []ListOption) bool { return true }
