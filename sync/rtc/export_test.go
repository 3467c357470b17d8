package rtc

// Clean is clean, for a fuzz test.
func Clean(text string) (string, error) { return clean(text) }
