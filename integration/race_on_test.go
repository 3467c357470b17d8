//go:build race

package integration_test

// raceFlags builds the program as the tests were built.
var raceFlags = []string{"-race"}
