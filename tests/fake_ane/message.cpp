// objc_msgSend, which has to hand on every argument in its register, whatever the types of the
// arguments are: it keeps the argument registers while it looks the method up, then jumps to the
// method, which returns to the sender. A nil receiver gets 0 in every register that a result may
// come in.

#if defined(__APPLE__)
#define MILGEN_SYMBOL(name) "_" name
#define MILGEN_FUNCTION(name) ""
#define MILGEN_END(name) ""
#define MILGEN_HIDDEN(name) ".private_extern _" name "\n"
#else
#define MILGEN_SYMBOL(name) name
#define MILGEN_FUNCTION(name) ".type " name ", %function\n"
#define MILGEN_END(name) ".size " name ", . - " name "\n"
#define MILGEN_HIDDEN(name) ".hidden " name "\n"
#endif

#if defined(__x86_64__)

#define MILGEN_RETURN_ZERO \
  "  xorl %eax, %eax\n"    \
  "  xorl %edx, %edx\n"    \
  "  pxor %xmm0, %xmm0\n"  \
  "  pxor %xmm1, %xmm1\n"  \
  "  retq\n"

// Arguments: rdi, rsi, rdx, rcx, r8, r9, xmm0-7, and al for a variable number of them. At the entry
// rsp is 8 off from a multiple of 16, as it must be a multiple of 16 at a call.
asm(".text\n"
    ".p2align 4\n"
    ".globl " MILGEN_SYMBOL("objc_msgSend") "\n"
    MILGEN_FUNCTION("objc_msgSend")
    MILGEN_SYMBOL("objc_msgSend") ":\n"
    ".cfi_startproc\n"
    "  endbr64\n"
    "  testq %rdi, %rdi\n"
    "  je 1f\n"
    "  pushq %rbp\n"
    ".cfi_def_cfa_offset 16\n"
    ".cfi_offset %rbp, -16\n"
    "  movq %rsp, %rbp\n"
    ".cfi_def_cfa_register %rbp\n"
    "  subq $192, %rsp\n"
    "  movdqu %xmm0, 0(%rsp)\n"
    "  movdqu %xmm1, 16(%rsp)\n"
    "  movdqu %xmm2, 32(%rsp)\n"
    "  movdqu %xmm3, 48(%rsp)\n"
    "  movdqu %xmm4, 64(%rsp)\n"
    "  movdqu %xmm5, 80(%rsp)\n"
    "  movdqu %xmm6, 96(%rsp)\n"
    "  movdqu %xmm7, 112(%rsp)\n"
    "  movq %rdi, 128(%rsp)\n"
    "  movq %rsi, 136(%rsp)\n"
    "  movq %rdx, 144(%rsp)\n"
    "  movq %rcx, 152(%rsp)\n"
    "  movq %r8, 160(%rsp)\n"
    "  movq %r9, 168(%rsp)\n"
    "  movq %rax, 176(%rsp)\n"
    "  callq " MILGEN_SYMBOL("milgen_fake_ane_find_method") "\n"
    "  movq %rax, %r11\n"
    "  movdqu 0(%rsp), %xmm0\n"
    "  movdqu 16(%rsp), %xmm1\n"
    "  movdqu 32(%rsp), %xmm2\n"
    "  movdqu 48(%rsp), %xmm3\n"
    "  movdqu 64(%rsp), %xmm4\n"
    "  movdqu 80(%rsp), %xmm5\n"
    "  movdqu 96(%rsp), %xmm6\n"
    "  movdqu 112(%rsp), %xmm7\n"
    "  movq 128(%rsp), %rdi\n"
    "  movq 136(%rsp), %rsi\n"
    "  movq 144(%rsp), %rdx\n"
    "  movq 152(%rsp), %rcx\n"
    "  movq 160(%rsp), %r8\n"
    "  movq 168(%rsp), %r9\n"
    "  movq 176(%rsp), %rax\n"
    "  movq %rbp, %rsp\n"
    "  popq %rbp\n"
    ".cfi_def_cfa %rsp, 8\n"
    "  jmpq *%r11\n"
    "1:\n"
    MILGEN_RETURN_ZERO
    ".cfi_endproc\n"
    MILGEN_END("objc_msgSend")
    ".p2align 4\n"
    ".globl " MILGEN_SYMBOL("milgen_fake_ane_answer_nil") "\n"
    MILGEN_HIDDEN("milgen_fake_ane_answer_nil")
    MILGEN_FUNCTION("milgen_fake_ane_answer_nil")
    MILGEN_SYMBOL("milgen_fake_ane_answer_nil") ":\n"
    ".cfi_startproc\n"
    "  endbr64\n"
    MILGEN_RETURN_ZERO
    ".cfi_endproc\n"
    MILGEN_END("milgen_fake_ane_answer_nil"));

#elif defined(__aarch64__)

#define MILGEN_RETURN_ZERO \
  "  mov x0, #0\n"         \
  "  mov x1, #0\n"         \
  "  movi v0.2d, #0\n"     \
  "  movi v1.2d, #0\n"     \
  "  movi v2.2d, #0\n"     \
  "  movi v3.2d, #0\n"     \
  "  ret\n"

// Arguments: x0-x7, x8 for the address of a result, q0-q7.
asm(".text\n"
    ".p2align 4\n"
    ".globl " MILGEN_SYMBOL("objc_msgSend") "\n"
    MILGEN_FUNCTION("objc_msgSend")
    MILGEN_SYMBOL("objc_msgSend") ":\n"
    ".cfi_startproc\n"
    "  hint #34\n"  // bti c
    "  cbz x0, 1f\n"
    "  stp x29, x30, [sp, #-224]!\n"
    ".cfi_def_cfa_offset 224\n"
    ".cfi_offset 29, -224\n"
    ".cfi_offset 30, -216\n"
    "  mov x29, sp\n"
    "  stp x0, x1, [sp, #16]\n"
    "  stp x2, x3, [sp, #32]\n"
    "  stp x4, x5, [sp, #48]\n"
    "  stp x6, x7, [sp, #64]\n"
    "  str x8, [sp, #80]\n"
    "  stp q0, q1, [sp, #96]\n"
    "  stp q2, q3, [sp, #128]\n"
    "  stp q4, q5, [sp, #160]\n"
    "  stp q6, q7, [sp, #192]\n"
    "  bl " MILGEN_SYMBOL("milgen_fake_ane_find_method") "\n"
    "  mov x16, x0\n"
    "  ldp x0, x1, [sp, #16]\n"
    "  ldp x2, x3, [sp, #32]\n"
    "  ldp x4, x5, [sp, #48]\n"
    "  ldp x6, x7, [sp, #64]\n"
    "  ldr x8, [sp, #80]\n"
    "  ldp q0, q1, [sp, #96]\n"
    "  ldp q2, q3, [sp, #128]\n"
    "  ldp q4, q5, [sp, #160]\n"
    "  ldp q6, q7, [sp, #192]\n"
    "  ldp x29, x30, [sp], #224\n"
    ".cfi_restore 29\n"
    ".cfi_restore 30\n"
    ".cfi_def_cfa_offset 0\n"
    "  br x16\n"
    "1:\n"
    MILGEN_RETURN_ZERO
    ".cfi_endproc\n"
    MILGEN_END("objc_msgSend")
    ".p2align 4\n"
    ".globl " MILGEN_SYMBOL("milgen_fake_ane_answer_nil") "\n"
    MILGEN_HIDDEN("milgen_fake_ane_answer_nil")
    MILGEN_FUNCTION("milgen_fake_ane_answer_nil")
    MILGEN_SYMBOL("milgen_fake_ane_answer_nil") ":\n"
    ".cfi_startproc\n"
    "  hint #34\n"
    MILGEN_RETURN_ZERO
    ".cfi_endproc\n"
    MILGEN_END("milgen_fake_ane_answer_nil"));

#else
#error "the fake engine sends its messages on x86-64 and 64-bit Arm alone"
#endif
