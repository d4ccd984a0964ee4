// Package verify judges an Image as the Linux verifier of its target would.
// It yields Verified, which nothing else can make, or a Rejection.
package verify

import (
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/verify/facts"
)

// Verified is a program that was proved safe. Only this package can make one.
type Verified struct {
	img   *image.Image
	facts *facts.Table
}

// Image is the program that was verified. It must not be changed.
func (v *Verified) Image() *image.Image { return v.img }

// Facts is what the verifier learnt. It must not be changed.
func (v *Verified) Facts() *facts.Table { return v.facts }
