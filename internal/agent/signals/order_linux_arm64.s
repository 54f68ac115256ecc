#include "textflag.h"

// stintCountSignal is a signal handler. It has the signal's number in R0, and may change the
// registers R9 to R11, as every C function. No Go code runs in it, and it is not called from Go.
TEXT stintCountSignal(SB),NOSPLIT|NOFRAME,$0
	MOVD	$·handled(SB), R9
count:
	LDAXR	(R9), R10
	ADD	$1, R10
	STLXR	R10, (R9), R11
	CBNZ	R11, count
	MOVD	$·handled(SB), R9
	MOVD	R10, (R9)(R0<<3)
	MOVD	·handlerOfGo(SB), R9
	JMP	(R9)

// func countingHandler() uintptr
TEXT ·countingHandler(SB),NOSPLIT,$0-8
	MOVD	$stintCountSignal(SB), R0
	MOVD	R0, ret+0(FP)
	RET
