-- KEYS the slots and stamps to remove. A hold stays: nothing is stored under it, and it guards a write under way.
local call, gone, count = redis.call, {}, 0
local wrote, absent = false, nil
for _, key in ipairs(KEYS) do
  local length = call('STRLEN', key)
  -- The length costs half of what the first byte costs, and no hold is longer than this, whatever carries it.
  if length == 0 then
    absent = key
  elseif length > 40 or call('GETRANGE', key, 0, 0) ~= 'H' then
    count = count + 1
    gone[count] = key
    -- One call for many, but no more than Lua can pass.
    if count == 1000 then
      call('UNLINK', unpack(gone))
      gone, count, wrote = {}, 0, true
    end
  end
end
if count > 0 then
  call('UNLINK', unpack(gone))
elseif absent and not wrote then
  -- A server that may not be written to, since it has been demoted, must say so even if it has nothing to remove.
  call('UNLINK', absent)
end
return 1
