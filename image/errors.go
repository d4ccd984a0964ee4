package image

// Unsupported says that gtrace or the target does not know what a program needs.
type Unsupported struct {
	What string // "kfunc bpf_iter_num_new on the user engine"
	How  string // what to do about it; "" when there is nothing
}

func (u *Unsupported) Error() string {
	if u.How == "" {
		return "unsupported: " + u.What
	}
	return "unsupported: " + u.What + "; " + u.How
}
