#include "api/pack.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace perennial::api {
namespace {

constexpr double kWholeLimit = 9007199254740992.0;  // 2^53
// First byte of a number that follows as eight bytes; a whole number's first byte is even.
constexpr char kRawMark = 1;

// Is the number what its text says? Then the text is enough.
bool SaysItsNumber(const Decimal& decimal) {
  double value = 0;
  const char* end = decimal.text.data() + decimal.text.size();
  const auto [stop, failed] = std::from_chars(decimal.text.data(), end, value);
  return failed == std::errc() && stop == end && value == decimal.value &&
         std::signbit(value) == std::signbit(decimal.value);
}

}  // namespace

void Packer::Integer(std::uint64_t value) {
  while (value >= 0x80) {
    out_.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out_.push_back(static_cast<char>(value));
}

std::uint64_t Unpacker::Integer() {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(*at_++);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
}

void Packer::Number(double value) {
  if (value >= 0 && value < kWholeLimit && value == std::floor(value) && !std::signbit(value)) {
    return Integer(static_cast<std::uint64_t>(value) << 1);
  }
  out_.push_back(kRawMark);
  char raw[sizeof(value)];
  std::memcpy(raw, &value, sizeof(value));
  out_.append(raw, sizeof(raw));
}

double Unpacker::Number() {
  if (*at_ != kRawMark) return static_cast<double>(Integer() >> 1);
  double value = 0;
  std::memcpy(&value, at_ + 1, sizeof(value));
  at_ += 1 + sizeof(value);
  return value;
}

// 0 and the text the first time, its number afterwards.
void Packer::Text(std::string_view text) {
  const auto [known, is_new] = texts_.emplace(text, texts_.size() + 1);
  if (!is_new) return Integer(known->second);
  out_.push_back('\0');
  Integer(text.size());
  out_.append(text);
}

std::string_view Unpacker::Text() {
  if (const std::uint64_t known = Integer(); known > 0) return texts_[known - 1];
  const std::uint64_t size = Integer();
  texts_.emplace_back(at_, size);
  at_ += size;
  return texts_.back();
}

void Pack(const Decimal& decimal, Packer& out) {
  const bool text_only = SaysItsNumber(decimal);
  out.Integer(text_only ? 1 : 0);
  out.Text(decimal.text);
  if (!text_only) out.Number(decimal.value);
}

void Unpack(Unpacker& in, Decimal& decimal) {
  const bool text_only = in.Integer() != 0;
  const std::string_view text = in.Text();
  decimal.text = text;
  if (text_only) {
    std::from_chars(text.data(), text.data() + text.size(), decimal.value);
  } else {
    decimal.value = in.Number();
  }
}

void Pack(const kube::Meta& meta, Packer& out) {
  out.Text(meta.key.ns);
  out.Text(meta.key.name);
  out.Text(meta.uid);
  out.Text(meta.resource_version);
  out.Signed(meta.generation);
  out.Signed(meta.created.time_since_epoch().count());
  out.Integer(meta.deleting ? 1 : 0);
  Pack(meta.labels, out);
  Pack(meta.annotations, out);
  out.Integer(meta.owners.size());
  for (const kube::OwnerReference& owner : meta.owners) {
    out.Text(owner.api_version);
    out.Text(owner.kind);
    out.Text(owner.name);
    out.Text(owner.uid);
    out.Integer(owner.controller ? 1 : 0);
  }
}

void Unpack(Unpacker& in, kube::Meta& meta) {
  meta.key.ns = in.Text();
  meta.key.name = in.Text();
  meta.uid = in.Text();
  meta.resource_version = in.Text();
  meta.generation = in.Signed();
  meta.created = WallTime(Millis(in.Signed()));
  meta.deleting = in.Integer() != 0;
  Unpack(in, meta.labels);
  Unpack(in, meta.annotations);
  meta.owners.resize(in.Integer());
  for (kube::OwnerReference& owner : meta.owners) {
    owner.api_version = in.Text();
    owner.kind = in.Text();
    owner.name = in.Text();
    owner.uid = in.Text();
    owner.controller = in.Integer() != 0;
  }
}

}  // namespace perennial::api
