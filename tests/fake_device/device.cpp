// A second kind of memory for tests: what is kept "there" lies in ordinary memory, every operation
// on it is done by the CPU, but tensors of the two places must not meet, as on a GPU.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/GeneratorForPrivateuseone.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_local_scalar_dense.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/native_batch_norm.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/library.h>

#include <cstring>
#include <numeric>

namespace {

using at::Tensor;
using c10::SymIntArrayRef;
using Maybe = std::optional<Tensor>;

constexpr auto KIND = c10::DeviceType::PrivateUse1;
constexpr auto KEY = c10::DispatchKey::PrivateUse1;
const c10::Device THERE(KIND, 0);

// --- the device: one of them, one stream, memory from the CPU's allocator

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return KIND; }
  c10::Device exchangeDevice(c10::Device) const override { return THERE; }
  c10::Device getDevice() const override { return THERE; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, THERE);
  }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* place = bytes ? c10::alloc_cpu(bytes) : nullptr;
    return {place, place, &c10::free_cpu, THERE};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &c10::free_cpu; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
} memory;
REGISTER_ALLOCATOR(KIND, &memory);

struct Hooks final : at::PrivateUse1HooksInterface {
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  bool isBuilt() const { return true; }  // (torch 2.6 does not ask for these two)
  bool isAvailable() const { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
} hooks;

at::Generator generator(c10::DeviceIndex) { return at::make_generator<at::CPUGeneratorImpl>(); }
REGISTER_GENERATOR_PRIVATEUSE1(generator);

// --- from one place to the other

Tensor here(const Tensor& t) {  // the same memory, as a tensor of the CPU
  if (!t.defined() || t.is_cpu()) return t;
  return at::from_blob(t.data_ptr(), t.sizes(), t.strides(), t.options().device(at::kCPU));
}
Maybe here(const Maybe& t) { return t ? Maybe(here(*t)) : t; }
Tensor there(const Tensor& t) { return t.defined() ? t.to(THERE) : t; }

// --- what makes or reads memory has to be done natively

Tensor empty(SymIntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
             std::optional<at::Device>, std::optional<bool>,
             std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(size), &memory,
                                   c10::DispatchKeySet(KEY), c10::dtype_or_default(dtype), format);
}

Tensor empty_strided(SymIntArrayRef size, SymIntArrayRef stride,
                     std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                     std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(
      C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), &memory,
      c10::DispatchKeySet(KEY), c10::dtype_or_default(dtype));
}

const Tensor& resize(const Tensor& self, SymIntArrayRef symbolic, std::optional<at::MemoryFormat>) {
  auto size = C10_AS_INTARRAYREF_SLOW(symbolic);
  if (self.sizes() == size) return self;
  size_t elements = self.storage_offset();
  elements += std::accumulate(size.begin(), size.end(), int64_t{1}, std::multiplies<>());
  auto* storage = self.storage().unsafeGetStorageImpl();
  if (size_t bytes = elements * self.itemsize(); storage->nbytes() < bytes) {
    auto larger = memory.allocate(bytes);
    std::memcpy(larger.get(), storage->data(), storage->nbytes());
    storage->set_data_ptr_noswap(std::move(larger));
    storage->set_nbytes(bytes);
  }
  self.unsafeGetTensorImpl()->set_sizes_contiguous(size);
  return self;
}

Tensor copy(const Tensor& source, const Tensor& target, bool) {
  here(target).copy_(here(source));
  return target;
}

Tensor copy_and_resize(const Tensor& source, const Tensor& target) {
  resize(target, source.sym_sizes(), std::nullopt);
  return copy(source, target, false);
}

Tensor view(const Tensor& self, SymIntArrayRef size) {
  return at::native::view(self, C10_AS_INTARRAYREF_SLOW(size));
}

Tensor reshape_alias(const Tensor& self, SymIntArrayRef size, SymIntArrayRef stride) {
  return at::native::_reshape_alias(self, C10_AS_INTARRAYREF_SLOW(size),
                                    C10_AS_INTARRAYREF_SLOW(stride));
}

Tensor as_strided(const Tensor& self, SymIntArrayRef size, SymIntArrayRef stride,
                  std::optional<c10::SymInt> offset) {
  auto start = offset ? std::optional(offset->guard_int(__FILE__, __LINE__)) : std::nullopt;
  return at::native::as_strided_tensorimpl(self, C10_AS_INTARRAYREF_SLOW(size),
                                           C10_AS_INTARRAYREF_SLOW(stride), start);
}

at::Scalar item(const Tensor& self) { return at::_local_scalar_dense(here(self)); }

// --- operations that torch expects a device to bring

Tensor convolution(const Tensor& x, const Tensor& weight, const Maybe& bias, SymIntArrayRef stride,
                   SymIntArrayRef padding, SymIntArrayRef dilation, bool transposed,
                   SymIntArrayRef output_padding, c10::SymInt groups) {
  TORCH_CHECK(x.device() == weight.device(), "expected all tensors to be on the same device");
  return there(at::convolution_symint(here(x), here(weight), here(bias), stride, padding, dilation,
                                      transposed, output_padding, groups));
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(
    const Tensor& gradient, const Tensor& x, const Tensor& weight, SymIntArrayRef stride,
    SymIntArrayRef padding, SymIntArrayRef dilation, bool transposed,
    SymIntArrayRef output_padding, c10::SymInt groups, std::array<bool, 3> wanted) {
  std::vector<c10::SymInt> bias{weight.sym_size(0)};
  auto [of_x, of_weight, of_bias] = at::convolution_backward_symint(
      here(gradient), here(x), here(weight), SymIntArrayRef(bias), stride, padding, dilation,
      transposed, output_padding, groups, wanted);
  return {there(of_x), there(of_weight), there(of_bias)};
}

std::tuple<Tensor, Tensor, Tensor> batch_norm(const Tensor& x, const Maybe& weight,
                                              const Maybe& bias, const Maybe& mean,
                                              const Maybe& variance, bool training,
                                              double momentum, double eps) {
  auto [y, of_mean, of_rate] = at::native_batch_norm(
      here(x), here(weight), here(bias), here(mean), here(variance), training, momentum, eps);
  return {there(y), there(of_mean), there(of_rate)};
}

// --- all else is done by the CPU, if what it is given lies in one place

void on_the_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& name = op.schema().name();
  bool some_there = false, some_here = false;
  auto look = [&](const Tensor& t) {
    if (!t.defined()) return;
    (t.device() == THERE ? some_there : some_here) |= t.device() == THERE || t.dim() > 0;
  };
  // (indices, a list with gaps, may come from the CPU, as on a GPU)
  for (const auto& each : torch::jit::last(*stack, op.schema().arguments().size())) {
    if (each.isTensor()) look(each.toTensor());
    if (each.isTensorList())
      for (const auto& t : each.toTensorVector()) look(t);
  }
  TORCH_CHECK(!(some_there && some_here), "expected all tensors to be on the same device: ", name);
  at::native::cpu_fallback(op, stack);
}

}  // namespace

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  at::RegisterPrivateUse1HooksInterface(&hooks);
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&on_the_cpu>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("resize_", &resize);
  library.impl("view", &view);
  library.impl("_reshape_alias", &reshape_alias);
  library.impl("as_strided", &as_strided);
  library.impl("unfold", &at::native::unfold);
  library.impl("_copy_from", &copy);
  library.impl("_copy_from_and_resize", &copy_and_resize);
  library.impl("_local_scalar_dense", &item);
  library.impl("convolution_overrideable", &convolution);
  library.impl("convolution_backward_overrideable", &convolution_backward);
  library.impl("native_batch_norm", &batch_norm);
}
