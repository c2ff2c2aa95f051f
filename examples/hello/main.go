// Command hello is the smallest thing to build an image of.
package main

import "fmt"

func main() { fmt.Println("hello from an image that flexbuild built") }
