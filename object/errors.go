package object

import (
	"errors"
	"fmt"
)

// ErrUnsupported is wrapped by errors about what an object holds and gtrace does not know.
var ErrUnsupported = errors.New("unsupported")

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrUnsupported}, args...)...)
}
