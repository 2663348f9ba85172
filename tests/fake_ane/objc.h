// The object model of the fake engine: what its Foundation, IOSurface and AppleNeuralEngine classes
// are written with.
//
// A class is a C++ class derived from Object that is given a name and methods once:
//
//   class Model final : public Object {
//    public:
//     static Ref<Model> with_descriptor(Class& self, Descriptor* descriptor);
//     bool load(unsigned qos, NsDictionary* options, Object** error);
//     Ref<NsString> identifier();
//   };
//
//   void define_ane_classes() {
//     define_class<Model>("_ANEInMemoryModel")
//         .class_method<&Model::with_descriptor>("inMemoryModelWithDescriptor:")
//         .method<&Model::load>("loadWithQoS:options:error:")
//         .method<&Model::identifier>("hexStringIdentifier");
//   }
//
// A method is a member function or a free function whose first argument is the receiver (T&).
// What stands between a message and the C++ function:
// - an argument of type T*, T derived from Object, is checked: nil, or a live object of T's class
// or
//   of a class below it. Otherwise the message traps (control.h) and, when traps are recorded,
//   answers nil, NO or 0 without calling the function. `Object*` takes any live object or nil.
//   Whether nil is acceptable is the function's own business.
// - `Object**` is an NSError** and passes as it is; it may be null. set_error() fills it.
// - a bool argument is the low byte of its register; a bool result leaves garbage above that byte.
// - a result Ref<T> is autoreleased (a nil Ref answers nil); a result T* passes as it is, without
//   a change of its count, for -init and for what the receiver keeps alive.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "control.h"

namespace milgen::fake_ane {

class Class;
class NsString;

// A selector: an interned name, as sel_registerName() gives it.
struct SelectorName {
  std::string name;
};
using Selector = const SelectorName*;

// What precedes every object in memory. It outlives the object, so that a message to a freed object
// is found.
struct Header {
  std::uint64_t magic;
  Class* isa;
  std::atomic<std::int64_t> references;
  std::uint32_t forks;  // how often the process had forked when the object was made
  std::uint32_t size;   // of the object behind the header, in bytes
};
static_assert(sizeof(Header) == 32);

// The root class, NSObject: every `id` of a client is an Object*. Objects are made by make<T>().
class Object {
 public:
  Object() = default;
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  // What -isEqual:, -hash and -description answer; the identity of the object unless overridden.
  virtual bool is_equal(const Object& other) const { return this == &other; }
  virtual std::uint64_t hash() const;
  virtual std::string description() const;

  static void* operator new(std::size_t size);
  static void operator delete(void* object);
};

Header& header_of(const Object& object);
Class& class_of(const Object& object);

// Counts. retain(nullptr) and release(nullptr) do nothing; release() of the last reference destroys
// the object; both trap for a freed object.
Object* retain(Object* object);
void release(Object* object);
// Adds the object to the innermost pool of this thread; without a pool it is a violation and a
// leak.
Object* autorelease(Object* object);
std::int64_t retain_count(const Object& object);
// Takes the object out of counting: constants and classes.
void make_immortal(Object& object);

// A reference that is counted: a smart pointer.
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  // Retains.
  explicit Ref(T* object) : object_(object) { retain(object); }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <class U, class = std::enable_if_t<std::is_convertible_v<U*, T*>>>
  Ref(Ref<U> other) : object_(other.detach()) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() { release(object_); }

  // Takes over the reference that the caller holds.
  static Ref adopt(T* object) {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  // Gives the reference to the caller.
  [[nodiscard]] T* detach() { return std::exchange(object_, nullptr); }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

// The address of a method's code: R (*)(Object* self, Selector selector, arguments...).
using Implementation = void (*)();

struct Method {
  Selector selector;
  Implementation code;
};

// A class object, receiver of the class methods. Lives as long as the process.
class Class final : public Object {
 public:
  Class(std::string name, Class* super) : name_(std::move(name)), super_(super) {}

  const std::string& name() const { return name_; }
  Class* super() const { return super_; }
  bool is_kind_of(const Class& other) const;
  std::string description() const override { return name_; }

  // Living instances of exactly this class.
  std::atomic<long> live{0};
  // Makes an instance for +alloc; null: +alloc answers nil.
  Object* (*create)() = nullptr;
  // The real ones do not survive a fork; a message to one that was made before it traps.
  bool breaks_after_fork = false;

  std::map<Selector, Method> methods;        // of instances, without those of `super`
  std::map<Selector, Method> class_methods;  // likewise

 private:
  std::string name_;
  Class* super_;
};

Selector selector(std::string_view name);
// Null when there is none; does not know of the setting hide.
Class* find_class(std::string_view name);
// Makes and registers a class object.
Class& add_class(std::string name, Class* super);

// The class object of a C++ class; null before define_class<T>().
template <class T>
inline Class* class_object = nullptr;

// Whether `object` (not nil) is a live object of T's class or of one below it. False for what is
// not an object at all.
bool is_live_object(const Object* object);
bool is_kind_of(const Object* object, const Class& type);
template <class T>
T* cast(Object* object) {
  return object != nullptr && is_kind_of(object, *class_object<T>) ? static_cast<T*>(object)
                                                                   : nullptr;
}

// Marks an object as made by `new` of class `type`.
void set_class(Object& object, Class& type);

// A new object, with one reference.
template <class T, class... Arguments>
Ref<T> make(Arguments&&... arguments) {
  Ref<T> made = Ref<T>::adopt(new T(std::forward<Arguments>(arguments)...));
  set_class(*made, *class_object<T>);
  return made;
}

// "-[NSData bytes]" or "+[NSData ...]".
std::string message_name(const Object* receiver, Selector selector);

namespace detail {

// Traps unless `argument` is nil or a live object of class `type` (null: of any class).
bool argument_fits(const Object* self, Selector selector, std::size_t index, const Object* argument,
                   const Class* type);

// How an argument of type A arrives in its register.
template <class A>
struct Argument {
  using Raw = A;
  static bool fits(const Object*, Selector, std::size_t, Raw) { return true; }
  static A value(Raw raw) { return raw; }
};
template <>
struct Argument<bool> {
  using Raw = unsigned char;
  static bool fits(const Object*, Selector, std::size_t, Raw) { return true; }
  static bool value(Raw raw) { return raw != 0; }
};
template <class T>
requires std::is_base_of_v<Object, T>
struct Argument<T*> {
  using Raw = Object*;
  static bool fits(const Object* self, Selector selector, std::size_t index, Raw raw) {
    const Class* type = std::is_same_v<T, Object> ? nullptr : class_object<T>;
    return argument_fits(self, selector, index, raw, type);
  }
  static T* value(Raw raw) { return static_cast<T*>(raw); }
};

// How a result of type R leaves.
template <class R>
struct Result {
  using Raw = R;
  static Raw raw(R result) { return result; }
};
template <>
struct Result<bool> {
#if defined(__APPLE__) && defined(__aarch64__)
  // There the one who is called extends the result to 32 bits.
  using Raw = std::uint32_t;
  static constexpr Raw kGarbage = 0;
#else
  using Raw = std::uint64_t;
  static constexpr Raw kGarbage = 0xa5a5a5a5a5a5a500;
#endif
  static Raw raw(bool result) { return kGarbage | (result ? 1U : 0U); }
};
template <class T>
struct Result<Ref<T>> {
  using Raw = Object*;
  static Raw raw(Ref<T> result) { return autorelease(result.detach()); }
};

template <class R, class... A, class Function, std::size_t... kIndex>
auto call_checked([[maybe_unused]] const Object* self, [[maybe_unused]] Selector selector,
                  Function function, std::index_sequence<kIndex...>,
                  typename Argument<A>::Raw... raw) {
  const bool fits = (Argument<A>::fits(self, selector, kIndex, raw) && ...);
  if constexpr (std::is_void_v<R>) {
    if (fits) {
      function(Argument<A>::value(raw)...);
    }
  } else {
    using Raw = typename Result<R>::Raw;
    return fits ? Result<R>::raw(function(Argument<A>::value(raw)...)) : Raw{};
  }
}

template <auto kFunction>
struct InstanceMethod;
template <class T, class R, class... A, R (T::*kFunction)(A...)>
struct InstanceMethod<kFunction> {
  using Type = T;
  static auto call(Object* self, Selector selector, typename Argument<A>::Raw... raw) {
    const auto function = [self](A... values) {
      return (static_cast<T*>(self)->*kFunction)(values...);
    };
    return call_checked<R, A...>(self, selector, function, std::index_sequence_for<A...>(), raw...);
  }
};
template <class T, class R, class... A, R (T::*kFunction)(A...) const>
struct InstanceMethod<kFunction> {
  using Type = T;
  static auto call(Object* self, Selector selector, typename Argument<A>::Raw... raw) {
    const auto function = [self](A... values) {
      return (static_cast<const T*>(self)->*kFunction)(values...);
    };
    return call_checked<R, A...>(self, selector, function, std::index_sequence_for<A...>(), raw...);
  }
};

// A free function does as well; its first argument is the receiver.
template <class T, class R, class... A, R (*kFunction)(T&, A...)>
struct InstanceMethod<kFunction> {
  using Type = T;
  static auto call(Object* self, Selector selector, typename Argument<A>::Raw... raw) {
    const auto function = [self](A... values) {
      return kFunction(static_cast<T&>(*self), values...);
    };
    return call_checked<R, A...>(self, selector, function, std::index_sequence_for<A...>(), raw...);
  }
};

template <auto kFunction>
struct ClassMethod;
template <class R, class... A, R (*kFunction)(Class&, A...)>
struct ClassMethod<kFunction> {
  static auto call(Object* self, Selector selector, typename Argument<A>::Raw... raw) {
    const auto function = [self](A... values) {
      return kFunction(static_cast<Class&>(*self), values...);
    };
    return call_checked<R, A...>(self, selector, function, std::index_sequence_for<A...>(), raw...);
  }
};

}  // namespace detail

// Gives a class its methods; see the head of this file.
template <class T>
class ClassDefinition {
 public:
  explicit ClassDefinition(Class& type) : type_(type) {}

  template <auto kFunction>
  ClassDefinition& method(std::string_view name) {
    static_assert(std::is_base_of_v<typename detail::InstanceMethod<kFunction>::Type, T>);
    return add(type_.methods, name,
               reinterpret_cast<Implementation>(&detail::InstanceMethod<kFunction>::call));
  }
  template <auto kFunction>
  ClassDefinition& class_method(std::string_view name) {
    return add(type_.class_methods, name,
               reinterpret_cast<Implementation>(&detail::ClassMethod<kFunction>::call));
  }
  // +alloc and +new make an instance with T's default constructor.
  ClassDefinition& creatable() {
    type_.create = [] { return static_cast<Object*>(make<T>().detach()); };
    return *this;
  }
  // Sets Class::breaks_after_fork.
  ClassDefinition& breaks_after_fork() {
    type_.breaks_after_fork = true;
    return *this;
  }

 private:
  ClassDefinition& add(std::map<Selector, Method>& methods, std::string_view name,
                       Implementation code) {
    const Selector key = selector(name);
    methods[key] = Method{key, code};
    return *this;
  }

  Class& type_;
};

// Defines T as a class under the Objective-C name `name`, below the class of Super, which is T's
// C++ base class.
template <class T, class Super = Object>
ClassDefinition<T> define_class(std::string name) {
  static_assert(std::is_base_of_v<Super, T>);
  class_object<T> = &add_class(std::move(name), class_object<Super>);
  return ClassDefinition<T>(*class_object<T>);
}

// Each defines the classes of one library; called once, before the first look-up, in this order.
void define_foundation_classes();
void define_io_surface_classes();
void define_ane_classes();

}  // namespace milgen::fake_ane
