// The C functions and constants that the fake engine exports; exports.txt is their list for the
// linker. Their names and types are those of macOS, whose headers are not needed to build this.
#pragma once

#include <cstddef>
#include <cstdint>

#include "objc.h"

#define MILGEN_FAKE_EXPORT extern "C" __attribute__((visibility("default")))

// libobjc. objc_msgSend has the type of the method that is called; see message.cpp.
MILGEN_FAKE_EXPORT void objc_msgSend();
MILGEN_FAKE_EXPORT milgen::fake_ane::Object* objc_getClass(const char* name);
MILGEN_FAKE_EXPORT milgen::fake_ane::Object* objc_lookUpClass(const char* name);
MILGEN_FAKE_EXPORT milgen::fake_ane::Selector sel_registerName(const char* name);
MILGEN_FAKE_EXPORT const char* sel_getName(milgen::fake_ane::Selector selector);
MILGEN_FAKE_EXPORT milgen::fake_ane::Object* object_getClass(milgen::fake_ane::Object* object);
MILGEN_FAKE_EXPORT const char* class_getName(milgen::fake_ane::Object* type);
MILGEN_FAKE_EXPORT const milgen::fake_ane::Method* class_getInstanceMethod(
    milgen::fake_ane::Object* type, milgen::fake_ane::Selector selector);
MILGEN_FAKE_EXPORT const milgen::fake_ane::Method* class_getClassMethod(
    milgen::fake_ane::Object* type, milgen::fake_ane::Selector selector);
MILGEN_FAKE_EXPORT milgen::fake_ane::Object* objc_retain(milgen::fake_ane::Object* object);
MILGEN_FAKE_EXPORT void objc_release(milgen::fake_ane::Object* object);
MILGEN_FAKE_EXPORT milgen::fake_ane::Object* objc_autorelease(milgen::fake_ane::Object* object);
MILGEN_FAKE_EXPORT void* objc_autoreleasePoolPush();
MILGEN_FAKE_EXPORT void objc_autoreleasePoolPop(void* token);

// CoreFoundation
MILGEN_FAKE_EXPORT milgen::fake_ane::Object* CFRetain(milgen::fake_ane::Object* object);
MILGEN_FAKE_EXPORT void CFRelease(milgen::fake_ane::Object* object);

// Foundation
MILGEN_FAKE_EXPORT milgen::fake_ane::Object* NSTemporaryDirectory();

// IOSurface
MILGEN_FAKE_EXPORT milgen::fake_ane::Object* kIOSurfaceWidth;
MILGEN_FAKE_EXPORT milgen::fake_ane::Object* kIOSurfaceHeight;
MILGEN_FAKE_EXPORT milgen::fake_ane::Object* kIOSurfaceBytesPerElement;
MILGEN_FAKE_EXPORT milgen::fake_ane::Object* kIOSurfaceBytesPerRow;
MILGEN_FAKE_EXPORT milgen::fake_ane::Object* kIOSurfaceAllocSize;
MILGEN_FAKE_EXPORT milgen::fake_ane::Object* kIOSurfacePixelFormat;
MILGEN_FAKE_EXPORT milgen::fake_ane::Object* IOSurfaceCreate(milgen::fake_ane::Object* properties);
MILGEN_FAKE_EXPORT std::int32_t IOSurfaceLock(milgen::fake_ane::Object* surface,
                                              std::uint32_t options, std::uint32_t* seed);
MILGEN_FAKE_EXPORT std::int32_t IOSurfaceUnlock(milgen::fake_ane::Object* surface,
                                                std::uint32_t options, std::uint32_t* seed);
MILGEN_FAKE_EXPORT void* IOSurfaceGetBaseAddress(milgen::fake_ane::Object* surface);
MILGEN_FAKE_EXPORT std::size_t IOSurfaceGetAllocSize(milgen::fake_ane::Object* surface);
MILGEN_FAKE_EXPORT std::uint32_t IOSurfaceGetID(milgen::fake_ane::Object* surface);
MILGEN_FAKE_EXPORT std::size_t IOSurfaceGetWidth(milgen::fake_ane::Object* surface);
MILGEN_FAKE_EXPORT std::size_t IOSurfaceGetHeight(milgen::fake_ane::Object* surface);
MILGEN_FAKE_EXPORT std::size_t IOSurfaceGetBytesPerRow(milgen::fake_ane::Object* surface);
MILGEN_FAKE_EXPORT std::size_t IOSurfaceGetBytesPerElement(milgen::fake_ane::Object* surface);
MILGEN_FAKE_EXPORT std::int32_t IOSurfaceGetUseCount(milgen::fake_ane::Object* surface);
MILGEN_FAKE_EXPORT void IOSurfaceIncrementUseCount(milgen::fake_ane::Object* surface);
MILGEN_FAKE_EXPORT void IOSurfaceDecrementUseCount(milgen::fake_ane::Object* surface);
MILGEN_FAKE_EXPORT milgen::fake_ane::Object* IOSurfaceSharedEventCreate();

// The fake's own; README.md says what each does.
MILGEN_FAKE_EXPORT const char* milgen_fake_ane_version();
MILGEN_FAKE_EXPORT int milgen_fake_ane_set(const char* key, const char* value);
MILGEN_FAKE_EXPORT void milgen_fake_ane_reset();
MILGEN_FAKE_EXPORT std::size_t milgen_fake_ane_log(char* buffer, std::size_t size);
MILGEN_FAKE_EXPORT std::size_t milgen_fake_ane_violations(char* buffer, std::size_t size);
MILGEN_FAKE_EXPORT long milgen_fake_ane_live(const char* class_name);
MILGEN_FAKE_EXPORT std::size_t milgen_fake_ane_live_report(char* buffer, std::size_t size);
MILGEN_FAKE_EXPORT std::size_t milgen_fake_ane_selectors(char* buffer, std::size_t size);
MILGEN_FAKE_EXPORT std::size_t milgen_fake_ane_keys(char* buffer, std::size_t size);
