package echo_test

import (
	"os"
	"testing"

	"echofs/echo/echotest"
)

func TestMain(m *testing.M) { os.Exit(echotest.Main(m)) }
