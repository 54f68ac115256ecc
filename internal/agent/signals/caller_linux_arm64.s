#include "textflag.h"

// The first instructions of the program. They ask the kernel for each signal whether it is
// ignored (rt_sigaction, 64 times 50 ns), and go on with what the runtime of Go has under this
// name. The runtime puts a handler of its own in place of most signals before any code of Go
// runs, and a child then has the default instead of what the caller of the program wanted.
//
// This is the program's entry because of DUPOK: of two definitions of which one has it the linker
// takes that one if it comes first, and the larger one if it comes second.
TEXT _rt0_arm64_linux(SB),NOSPLIT|DUPOK|NOFRAME,$0
	SUB	$64, RSP
	MOVD	$0, R19
	MOVD	$1, R20
next:
	MOVD	R20, R0
	MOVD	$0, R1
	MOVD	RSP, R2
	MOVD	$8, R3
	MOVD	$134, R8
	SVC
	CBNZ	R0, skip
	MOVD	0(RSP), R4
	CMP	$1, R4
	BNE	skip
	SUB	$1, R20, R5
	MOVD	$1, R4
	LSL	R5, R4
	ORR	R4, R19
skip:
	ADD	$1, R20
	CMP	$64, R20
	BLE	next
	MOVD	R19, ·ignoredByCaller(SB)
	ADD	$64, RSP
	JMP	_rt0_arm64(SB)
