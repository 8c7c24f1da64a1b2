-- Leases that are flagged to be cancelled.

local function flagged_of(owner)
    local answer = {}
    for _, id in ipairs(call('SMEMBERS', P .. 'c:' .. owner)) do
        local lease = lease_of(id)
        if lease and lease.owner == owner then
            answer[#answer + 1] = id
            answer[#answer + 1] = lease.token
        end
    end
    return answer
end
